/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file that replaces figures of the cost model: [general] for all processors, [NAME] for one; the
 * keys are the rows of costs.def, the values cycles.
 */
#ifndef INI_COSTS_FILE_H
#define INI_COSTS_FILE_H

#include "cost/cost.h"
#include "ini/complaints.h"

/*
 * Gives @table what @file has for its processor; all of the file is checked. @file is borrowed by
 * @table. Errors are those of ini_read(); @table is then as it was, in part.
 */
int costs_file_read(const char *file, struct umbra_cost_table *table,
		    struct complaints *complaints);

#endif
