/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra explain: one access, step by step. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/client.h"
#include "client/explanation.h"
#include "client/options.h"
#include "client/report.h"
#include "client/session.h"
#include "web/view.h"

#ifndef PKGDATADIR
#define PKGDATADIR "/usr/share/umbra"
#endif

#define DEFAULT_GUEST "mov1234.elf"

/* The guest that is explained when none is named: $UMBRA_GUESTS, beside the program, installed. */
static int find_default(const struct options *options, char path[PATH_MAX])
{
	const char *named = getenv("UMBRA_GUESTS");
	char program[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;

	if (named) {
		snprintf(path, PATH_MAX, "%s/" DEFAULT_GUEST, named);
		return 0; /* what was asked for, there or not */
	}
	if (n > 0) {
		program[n] = '\0';
		slash = strrchr(program, '/');
		*slash = '\0';
		if (snprintf(path, PATH_MAX, "%s/guests/" DEFAULT_GUEST, program) < PATH_MAX &&
		    !access(path, R_OK))
			return 0;
	}
	snprintf(path, PATH_MAX, PKGDATADIR "/guests/" DEFAULT_GUEST);
	if (!access(path, R_OK))
		return 0;
	return options_refuse(options, EX_NOINPUT,
			      "%s: not found; set UMBRA_GUESTS to its directory", path);
}

static int explain(const struct options *options, const struct mode_choice *choice,
		   const char *image, json_t *list)
{
	struct session_config config = {.options = options, .choice = *choice, .image = image};
	struct umbra_explanation *explanation;
	struct umbra_error error = {0};
	struct session *session;
	int status, err;

	status = session_create(&config, &session);
	if (status)
		return status;
	status = session_run(session);
	if (status > STATUS_SIGNAL)
		goto out; /* a signal */
	if (options->own_tables) {
		err = umbra_guest_explain_tables(session_guest(session), options->gva,
						 options->guest_page, options->levels, &error);
		if (err) {
			status =
				options_refuse(options, err == -EINVAL ? EX_USAGE : EX_SOFTWARE,
					       "%s: %s", umbra_mode_name(choice->mode), error.text);
			goto out;
		}
	}
	err = umbra_guest_explain(session_guest(session), options->gva, options->access,
				  options->first_touch, &explanation, &error);
	if (err) {
		status = options_refuse(options, err == -EINVAL ? EX_USAGE : EX_SOFTWARE, "%s: %s",
					error.subject, error.text);
		goto out;
	}
	status = 0;
	explanation_print(options, choice->mode, explanation);
	if (list &&
	    json_array_append_new(list, explanation_json(options, choice->mode, explanation)))
		status = options_refuse(options, EX_SOFTWARE, "out of memory");
	umbra_explanation_free(explanation);
out:
	session_destroy(session);
	return status;
}

int client_explain(int argc, char **argv)
{
	struct options options;
	char path[PATH_MAX];
	const char *image;
	json_t *list = NULL;
	FILE *json;
	int status;

	if (!options_parse(&options, VERB_EXPLAIN, argc, argv, &status))
		return status;
	image = options.image;
	if (!image) {
		status = find_default(&options, path);
		image = path;
	}
	if (!status)
		status = session_open_json(&options, &json);
	if (status)
		return status;
	if (json)
		list = json_array();
	report_costs(stdout, &options.costs);
	for (unsigned int i = 0; i < options.nr_choices && !status; i++)
		status = explain(&options, &options.choices[i], image, list);
	if (json && !status)
		return session_write_json(&options,
					  json_pack("{s:o, s:o}", "costs",
						    web_encode_costs(&options.costs),
						    "explanations", list),
					  json);
	if (json) {
		fclose(json);
		json_decref(list);
	}
	return status;
}
