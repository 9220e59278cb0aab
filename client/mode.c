/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra mode: a guest's mode and policy, shown or changed. */
#include "config.h"

#include <stdio.h>

#include "client/api.h"
#include "client/client.h"
#include "policy/policy.h"

/*
 * The word is a policy's name or else a mode's; umbrad says which modes there are, so that the
 * client need not be as old as it.
 */
static json_t *request_of(const char *word)
{
	enum policy_kind kind;

	return json_pack("{s:s}", policy_kind_parse(word, &kind) ? "mode" : "policy", word);
}

int client_mode(int argc, char **argv)
{
	struct api_options options;
	json_t *answer = NULL, *request = NULL;
	int status = api_parse(argc, argv, false, 1, 2, "[--json] ID [MODE|POLICY]", &options);

	if (status)
		return status;
	if (options.nr_words > 1)
		request = request_of(options.words[1]);
	if (options.nr_words > 1 && !request) {
		fputs("umbra: mode: UTF-8 was expected\n", stderr);
		return CLIENT_USAGE;
	}
	status = api_ask(&options, "/api/v1/guests/%s/mode", options.words[0], request, &answer);
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
