/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "daemon/load.h"
#include "daemon/log.h"
#include "daemon/umbrad.h"

int load_config(const struct config_source *source, struct config *ret_config)
{
	struct complaints complaints = {0};
	int code = config_load(source, ret_config, &complaints);

	for (size_t i = 0; i < complaints.nr; i++)
		log_write(LOG_ERR, NULL, "%s", complaints.text[i]);
	if (complaints_full(&complaints))
		log_write(LOG_ERR, NULL, "there may be more: these are the first mistakes");
	else if (code && !complaints.nr)
		log_write(LOG_ERR, NULL, "%s", strerror(-code));
	complaints_free(&complaints);
	if (!code)
		return 0;
	return code == -ENOENT ? STATUS_NO_FILE : STATUS_CONFIG;
}
