/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs of `umbra`. Each gets its own words (argv[0] is the verb) and returns the exit status.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

/* Umbra's exit statuses (sysexits.h has the same numbers for the same things). */
enum {
	CLIENT_USAGE = 64,       /* malformed command */
	CLIENT_NO_FILE = 66,     /* no such file, or it takes no more; no such guest */
	CLIENT_UNAVAILABLE = 69, /* an option or mode that this build lacks, a guest that cannot */
	CLIENT_FAULT = 70,       /* a fault of Umbra, or no umbrad to talk to */
};

/* These run a guest themselves. */
int client_run(int argc, char **argv);
int client_compare(int argc, char **argv);
int client_explain(int argc, char **argv);

/* These talk to umbrad. */
int client_guests(int argc, char **argv);
int client_show(int argc, char **argv);
int client_mode(int argc, char **argv);
int client_decisions(int argc, char **argv);
int client_advise(int argc, char **argv);
int client_translate(int argc, char **argv);
int client_metrics(int argc, char **argv);
int client_freeze(int argc, char **argv);
int client_thaw(int argc, char **argv);

#endif
