/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra freeze, umbra thaw: whether policies may switch at all. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>

#include "client/api.h"
#include "client/client.h"

static int put(int argc, char **argv, bool frozen)
{
	struct api_options options;
	json_t *request, *answer;
	int status = api_parse(argc, argv, API_HAS(JSON), 0, 0, "[--json]", &options);

	if (status)
		return status;
	request = json_pack("{s:b}", "frozen", frozen);
	status = api_ask_or_print(&options, "/api/v1/host", NULL, request, &answer);
	json_decref(request);
	if (status || !answer)
		return status;
	puts(json_is_true(json_object_get(answer, "frozen"))
		     ? "frozen: no guest switches its mode until umbra thaw"
		     : "thawed: policies and operators can switch guests again");
	json_decref(answer);
	return 0;
}

int client_freeze(int argc, char **argv)
{
	return put(argc, argv, true);
}

int client_thaw(int argc, char **argv)
{
	return put(argc, argv, false);
}
