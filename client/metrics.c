/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra metrics: what Prometheus gets of umbrad. */
#include "config.h"

#include "client/api.h"
#include "client/client.h"

int client_metrics(int argc, char **argv)
{
	struct api_options options;
	int status = api_parse(argc, argv, API_HAS(OPENMETRICS), 0, 0, "[--openmetrics]", &options);

	if (status)
		return status;
	return api_print(&options, "/metrics",
			 options.value[API_OPENMETRICS]
				 ? "application/openmetrics-text; version=1.0.0"
				 : "text/plain; version=0.0.4");
}
