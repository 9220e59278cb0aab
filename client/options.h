/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of the verbs that run a guest themselves: run, compare, explain. */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cost/cost.h"
#include "policy/policy.h"
#include "umbra/explain.h"
#include "umbra/guest.h"
#include "umbra/mode.h"

/* Which verb takes an option; a set. */
#define VERB_RUN     (1u << 0)
#define VERB_COMPARE (1u << 1)
#define VERB_EXPLAIN (1u << 2)

/* A --mode: what is on at the start and who decides. */
struct mode_choice {
	enum umbra_mode mode;
	enum policy_kind policy;
};

/* "auto" or a mode's name. 0, or -EINVAL. */
int mode_choice_parse(const char *name, struct mode_choice *ret_choice);
/* The name that gave it. */
const char *mode_choice_name(const struct mode_choice *choice);

#define MODE_CHOICES_MAX 8

struct options {
	const char *verb;
	enum umbra_engine engine;
	struct mode_choice choices[MODE_CHOICES_MAX]; /* run: one; compare, explain: the list */
	unsigned int nr_choices;
	bool modes_given;
	bool clock_given, interval_given;
	enum umbra_clock clock;
	const char *processor;         /* NULL: the default */
	const char *costs_file;        /* NULL: none */
	struct umbra_cost_table costs; /* of the processor, with what the file gives */
	unsigned int cpus;
	uint64_t memory; /* bytes */
	enum umbra_page_size backing;
	uint64_t max_instructions; /* UINT64_MAX: no limit */
	double max_seconds;        /* 0: no limit */
	uint64_t switch_every;     /* instructions; 0: no schedule */
	uint64_t seed;
	bool seeded;
	uint64_t interval;                 /* units of guest time */
	const char *append, *json, *image; /* NULL: not given */
	const char *initrd;
	const char *modules[UMBRA_MODULES_MAX]; /* as given: FILE, or FILE and its string */
	unsigned int nr_modules;
	uint64_t gva;
	bool gva_given;
	enum umbra_explain_access access;
	bool first_touch;
	bool own_tables; /* --guest-page or --levels: tables made for the explanation */
	enum umbra_page_size guest_page;
	unsigned int levels; /* of them, and of EPT */
};

/*
 * Fills @ret_options from the command line; argv[0] is the verb. True: go on. False: the verb is
 * over with *ret_status: 0 after --help, else (sysexits.h) 64 malformed, 69 this build lacks it, or
 * 66, 78 the file of --costs is missing or wrong, after it has said what is wrong.
 */
bool options_parse(struct options *ret_options, unsigned int verb, int argc, char **argv,
		   int *ret_status);

/* Says "umbra VERB: ..." on standard error and returns @status. */
int options_refuse(const struct options *options, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
