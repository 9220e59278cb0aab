/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra run: one guest in the foreground, its serial console on standard input and output. */
#include <string.h>
#include <sysexits.h>

#include "client/client.h"
#include "client/options.h"
#include "client/report.h"
#include "client/session.h"
#include "client/terminal.h"

int client_run(int argc, char **argv)
{
	struct options options;
	struct session_config config = {.options = &options, .flush = terminal_flush};
	struct terminal *terminal;
	struct session *session;
	FILE *json;
	int status, lost, err;

	if (!options_parse(&options, VERB_RUN, argc, argv, &status))
		return status;
	terminal = terminal_open();
	config.choice = options.choices[0];
	config.image = options.image;
	config.console = terminal_console(terminal);
	status = session_create(&config, &session);
	if (status)
		goto out_terminal;
	status = session_open_json(&options, &json);
	if (status)
		goto out_session;
	status = session_run(session);
	lost = terminal_close(terminal);
	report_run(stderr, session);
	if (lost && status <= STATUS_SIGNAL)
		status =
			options_refuse(&options, EX_NOINPUT, "standard output: %s", strerror(lost));
	if (json) {
		err = session_write_json(&options, session_json(session), json);
		if (err)
			status = err;
	}
out_session:
	session_destroy(session);
out_terminal:
	terminal_close(terminal);
	return status;
}
