/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manual page umbra-metrics(7), made from the tables. */
#ifndef SCHEMAS_MANUAL_H
#define SCHEMAS_MANUAL_H

#include <stdio.h>

void manual_write(FILE *out);

#endif
