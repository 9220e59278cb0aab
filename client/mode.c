/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra mode: a guest's mode and policy, shown or changed. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "client/api.h"
#include "client/client.h"
#include "policy/policy.h"

/* 0 and what to PUT, or the exit status, told. The word is a policy's name or else a mode's. */
static int make_request(const char *word, json_t **ret_request)
{
	enum policy_kind kind;
	enum umbra_mode mode;

	if (!policy_kind_parse(word, &kind)) {
		*ret_request = json_pack("{s:s}", "policy", word);
		return 0;
	}
	if (!umbra_mode_parse(word, &mode)) {
		*ret_request = json_pack("{s:s}", "mode", word);
		return 0;
	}
	fprintf(stderr, "umbra: %s is neither a mode nor a policy\n", word);
	return CLIENT_USAGE;
}

int client_mode(int argc, char **argv)
{
	struct api_options options;
	json_t *answer = NULL, *request = NULL;
	int status =
		api_parse(argc, argv, API_HAS(JSON), 1, 2, "[--json] ID [MODE|POLICY]", &options);

	if (status)
		return status;
	if (options.nr_words > 1)
		status = make_request(options.words[1], &request);
	if (status)
		return status;
	status = api_ask_or_print(&options, "/api/v1/guests/%s/mode", options.words[0], request,
				  &answer);
	json_decref(request);
	if (status || !answer)
		return status;
	printf("%s: mode %s, policy %s\n", api_text(answer, "id"), api_text(answer, "mode"),
	       api_text(answer, "policy"));
	if (json_object_get(answer, "to"))
		printf("switched from %s to %s at instruction %.0f, pause %.0f ns\n",
		       api_text(answer, "from"), api_text(answer, "to"),
		       api_number(answer, "instruction"), api_number(answer, "pause_ns"));
	json_decref(answer);
	return 0;
}
