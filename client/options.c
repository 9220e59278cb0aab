/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "client/options.h"
#include "ini/costs_file.h"
#include "umbra/guest.h"

#define DEFAULT_MEMORY   (128ull << 20)
#define DEFAULT_INTERVAL 10000000ull
#define DEFAULT_GVA      0x1234ull

#define MALFORMED        EX_USAGE
#define LACKING          EX_UNAVAILABLE
#define HELPED           (-1)  /* --help was asked for and shown */
#define HELP             0x100 /* of getopt_long(): beyond the indices of rows */

/* What a parser says beside MALFORMED or LACKING; empty: the usual sentence. */
struct complaint {
	char text[256]; /* as of struct umbra_error */
};

struct option_row {
	const char *name;
	unsigned int verbs;
	bool flag; /* takes no value */
	int (*parse)(struct options *options, const char *value, struct complaint *complaint);
	const char *expects;
};

int mode_choice_parse(const char *name, struct mode_choice *ret_choice)
{
	int err;

	if (!strcmp(name, "auto")) {
		*ret_choice = (struct mode_choice){UMBRA_MODE_EPT, POLICY_AUTO};
		return 0;
	}
	ret_choice->policy = POLICY_PINNED;
	err = umbra_mode_parse(name, &ret_choice->mode);
	return err;
}

const char *mode_choice_name(const struct mode_choice *choice)
{
	return choice->policy == POLICY_AUTO ? "auto" : umbra_mode_name(choice->mode);
}

int options_refuse(const struct options *options, int status, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "umbra %s: ", options->verb);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

/* --- values ------------------------------------------------------------------------------- */

/* A whole number, decimal or 0x.... */
static int number(const char *value, uint64_t min, uint64_t max, uint64_t *ret)
{
	unsigned long long n;
	char *end;

	if (value[0] < '0' || value[0] > '9')
		return MALFORMED;
	errno = 0;
	n = strtoull(value, &end,
		     value[0] == '0' && (value[1] == 'x' || value[1] == 'X') ? 16 : 10);
	if (errno || *end || n < min || n > max)
		return MALFORMED;
	*ret = n;
	return 0;
}

/* A number of bytes with K, M or G. */
static int size(const char *value, uint64_t *ret)
{
	static const char units[] = "KMG";
	const char *unit;
	unsigned long long n;
	unsigned int shift = 0;
	char *end;

	if (value[0] < '0' || value[0] > '9')
		return MALFORMED;
	errno = 0;
	n = strtoull(value, &end, 10);
	if (*end && (unit = strchr(units, *end & ~0x20))) {
		shift = 10 * (unit - units + 1);
		end++;
	}
	if (errno || *end || n > UINT64_MAX >> shift)
		return MALFORMED;
	*ret = (uint64_t)n << shift;
	return 0;
}

/* --- one parser an option ----------------------------------------------------------------- */

#define PARSER(name)                                                                               \
	static int parse_##name(struct options *options, const char *value,                        \
				struct complaint *complaint)

PARSER(engine)
{
	return umbra_engine_parse(value, &options->engine) ? MALFORMED : 0;
}

static int add_choice(struct options *options, const char *name)
{
	struct mode_choice choice;
	int err = mode_choice_parse(name, &choice);

	if (err)
		return MALFORMED;
	if (options->nr_choices == MODE_CHOICES_MAX)
		return MALFORMED;
	options->choices[options->nr_choices++] = choice;
	return 0;
}

PARSER(mode)
{
	options->nr_choices = 0;
	options->modes_given = true;
	return add_choice(options, value);
}

PARSER(modes)
{
	char *copy = strdup(value), *rest = copy, *name;
	int status = 0;

	if (!copy)
		return EX_OSERR;
	options->nr_choices = 0;
	options->modes_given = true;
	while (!status && (name = strsep(&rest, ",")))
		status = add_choice(options, name);
	free(copy);
	return status;
}

PARSER(explain_mode)
{
	if (!strcmp(value, "auto")) {
		strcpy(complaint->text, "explains one mode or all; auto is a policy");
		return MALFORMED;
	}
	options->nr_choices = 0;
	options->modes_given = strcmp(value, "all");
	return options->modes_given ? add_choice(options, value) : 0;
}

PARSER(clock)
{
	options->clock_given = true;
	return umbra_clock_parse(value, &options->clock) ? MALFORMED : 0;
}

PARSER(processor)
{
	struct umbra_error error;
	unsigned int number;

	options->processor = value;
	if (!umbra_processor_parse(value, &number, &error))
		return 0;
	snprintf(complaint->text, sizeof(complaint->text), "%s", error.text);
	return LACKING;
}

PARSER(costs)
{
	options->costs_file = value;
	return *value ? 0 : MALFORMED;
}

PARSER(cpus)
{
	uint64_t cpus;

	if (number(value, 1, UMBRA_MAX_CPUS, &cpus))
		return MALFORMED;
	options->cpus = cpus;
	return 0;
}

PARSER(memory)
{
	int status = size(value, &options->memory);

	return status ? status : options->memory ? 0 : MALFORMED;
}

static int page_size(const char *value, enum umbra_page_size *ret)
{
	static const char *const names[UMBRA_PAGE_SIZE_COUNT] = {
		[UMBRA_PAGE_4k] = "4k", [UMBRA_PAGE_2m] = "2m", [UMBRA_PAGE_1g] = "1g"};

	for (int i = 0; i < UMBRA_PAGE_SIZE_COUNT; i++) {
		if (!strcmp(value, names[i])) {
			*ret = i;
			return 0;
		}
	}
	return MALFORMED;
}

PARSER(backing)
{
	return page_size(value, &options->backing);
}

PARSER(guest_page)
{
	options->own_tables = true;
	return page_size(value, &options->guest_page);
}

PARSER(levels)
{
	uint64_t levels;
	int status = number(value, 4, 5, &levels);

	if (status)
		return status;
	options->own_tables = true;
	options->levels = levels;
	return 0;
}

PARSER(append)
{
	options->append = value;
	return 0;
}

PARSER(initrd)
{
	options->initrd = value;
	return *value ? 0 : MALFORMED;
}

PARSER(module)
{
	if (!*value || *value == ' ')
		return MALFORMED;
	if (options->nr_modules == UMBRA_MODULES_MAX) {
		snprintf(complaint->text, sizeof(complaint->text),
			 "a module too many; at most %d expected", UMBRA_MODULES_MAX);
		return MALFORMED;
	}
	options->modules[options->nr_modules++] = value;
	return 0;
}

PARSER(max_seconds)
{
	char *end;
	double seconds;

	errno = 0;
	seconds = strtod(value, &end);
	if (errno || *end || end == value || !isfinite(seconds) || seconds <= 0 || seconds > 1e9)
		return MALFORMED;
	options->max_seconds = seconds;
	return 0;
}

PARSER(max_instructions)
{
	return number(value, 1, UINT64_MAX - 1, &options->max_instructions);
}

PARSER(switch_every)
{
	return number(value, 1, UINT64_MAX / 4, &options->switch_every);
}

PARSER(seed)
{
	options->seeded = true;
	return number(value, 0, UINT64_MAX, &options->seed);
}

PARSER(interval)
{
	options->interval_given = true;
	return number(value, 1000, UINT64_MAX / 4, &options->interval);
}

PARSER(json)
{
	options->json = value;
	return *value ? 0 : MALFORMED;
}

PARSER(gva)
{
	options->gva_given = true;
	return number(value, 0, UINT64_MAX, &options->gva);
}

PARSER(access)
{
	static const char letters[] = "rwx";
	const char *letter = strlen(value) == 1 ? strchr(letters, value[0]) : NULL;

	if (!letter)
		return MALFORMED;
	options->access = UMBRA_EXPLAIN_READ + (letter - letters);
	return 0;
}

PARSER(first_touch)
{
	options->first_touch = true;
	return 0;
}

#define ALL (VERB_RUN | VERB_COMPARE | VERB_EXPLAIN)

static const struct option_row rows[] = {
	{"engine", ALL, false, parse_engine, "soft or kvm"},
	{"mode", VERB_RUN, false, parse_mode, "bare, brute, shadow, ept or auto"},
	{"mode", VERB_EXPLAIN, false, parse_explain_mode, "bare, brute, shadow, ept or all"},
	{"modes", VERB_COMPARE, false, parse_modes, "a list of bare, brute, shadow, ept, auto"},
	{"clock", ALL, false, parse_clock, "cycles or instructions"},
	{"processor", ALL, false, parse_processor,
	 "a processor: skylake, icelake, zen2, zen3, zen4"},
	{"costs", ALL, false, parse_costs,
	 "a file (INI: [general] or [PROCESSOR], EVENT = CYCLES)"},
	{"cpus", ALL, false, parse_cpus, "a number of processors, 1 to 8"},
	{"memory", ALL, false, parse_memory, "a size from 1M to 2G, such as 64M"},
	{"backing", ALL, false, parse_backing, "4k, 2m or 1g"},
	{"guest-page", VERB_EXPLAIN, false, parse_guest_page, "4k, 2m or 1g"},
	{"levels", VERB_EXPLAIN, false, parse_levels, "4 or 5"},
	{"append", ALL, false, parse_append, "a command line"},
	{"initrd", ALL, false, parse_initrd, "a file (for a Linux kernel)"},
	{"module", ALL, false, parse_module,
	 "a file, or \"FILE STRING\" (multiboot, ELF64; repeatable)"},
	{"max-seconds", ALL, false, parse_max_seconds, "a number above 0"},
	{"max-instructions", ALL, false, parse_max_instructions, "a whole number above 0"},
	{"switch-every", VERB_RUN, false, parse_switch_every,
	 "a whole number above 0: instructions to the next of ept, shadow, brute"},
	{"seed", VERB_RUN, false, parse_seed,
	 "a whole number: distances and targets of --switch-every are random"},
	{"interval", VERB_RUN | VERB_COMPARE, false, parse_interval,
	 "units of guest time, 1000 or more"},
	{"json", ALL, false, parse_json, "a file"},
	{"gva", VERB_EXPLAIN, false, parse_gva, "an address such as 0x1234"},
	{"access", VERB_EXPLAIN, false, parse_access, "r, w or x"},
	{"first-touch", VERB_EXPLAIN, true, parse_first_touch, NULL},
};

#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static int parse_row(struct options *options, const struct option_row *row, const char *value)
{
	struct complaint complaint = {""};
	int status = row->parse(options, value, &complaint);

	if (complaint.text[0])
		return options_refuse(options, status, "--%s %s: %s", row->name, value,
				      complaint.text);
	if (status == LACKING)
		return options_refuse(options, status, "--%s %s: not in this build", row->name,
				      value);
	if (status == MALFORMED)
		return options_refuse(options, status, "--%s %s: expected %s", row->name, value,
				      row->expects);
	if (status)
		return options_refuse(options, status, "--%s: out of memory", row->name);
	return 0;
}

/* Without a choice of modes compare and explain take all. */
static void choose_modes(struct options *options, unsigned int verb)
{
	static const char *const all[] = {"bare", "brute", "shadow", "ept", "auto"};

	options->nr_choices = 0;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (verb != VERB_EXPLAIN || strcmp(all[i], "auto"))
			add_choice(options, all[i]);
	}
}

/* What only a guest of the soft engine has: KVM knows neither instructions nor models. */
static int check_kvm(const struct options *options, unsigned int verb)
{
	const struct mode_choice *choice = &options->choices[0];
	const struct {
		bool given;
		const char *name, *why;
	} rows[] = {
		{options->max_instructions != UINT64_MAX, "--max-instructions",
		 "KVM does not know how many instructions have retired"},
		{options->switch_every, "--switch-every",
		 "KVM does not know how many instructions have retired, nor does it switch"},
		{options->clock_given && options->clock != UMBRA_CLOCK_CYCLES,
		 "--clock instructions", "guest time is wall time there"},
		{options->processor, "--processor", "the guest's is the host's"},
		{options->costs_file, "--costs", "nothing is modelled there"},
		{options->interval_given, "--interval", "there are no decisions there"},
		{options->modes_given &&
			 (choice->policy == POLICY_AUTO || choice->mode == UMBRA_MODE_BARE ||
			  choice->mode == UMBRA_MODE_BRUTE),
		 "--mode", "KVM has shadow or ept, whichever the host has for all guests"},
		{options->backing == UMBRA_PAGE_1g, "--backing 1g",
		 "the guest's memory is in pages of 4k or 2m there"},
	};

	if (verb == VERB_COMPARE)
		return options_refuse(options, LACKING,
				      "--engine kvm: the host's KVM has one mode alone to run in; "
				      "--engine soft has them all");
	if (verb == VERB_EXPLAIN)
		return options_refuse(options, LACKING,
				      "--engine kvm: KVM shows nobody its tables; --engine soft "
				      "does");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].given)
			return options_refuse(options, LACKING, "%s: not with --engine kvm: %s",
					      rows[i].name, rows[i].why);
	}
	return 0;
}

/* What options may not be given together. */
static int check(const struct options *options)
{
	const struct mode_choice *choice = &options->choices[0];
	unsigned int unused;

	if (options->switch_every &&
	    (choice->policy == POLICY_AUTO || choice->mode == UMBRA_MODE_BARE))
		return options_refuse(
			options, MALFORMED,
			"--switch-every: not with --mode %s; use brute, shadow or ept",
			mode_choice_name(choice));
	/* 48 or 57 bits of linear address: the rest repeats the highest of them (SDM 1 3.3.7.1). */
	unused = options->levels == 5 ? 64 - 57 : 64 - 48;
	if ((int64_t)(options->gva << unused) >> unused != (int64_t)options->gva)
		return options_refuse(options, MALFORMED, "--gva 0x%llx: not a canonical address",
				      (unsigned long long)options->gva);
	if (options->seeded && !options->switch_every)
		return options_refuse(options, MALFORMED, "--seed: only with --switch-every");
	return 0;
}

/* The processor's figures, and what the file of --costs has instead. */
static int read_costs(struct options *options)
{
	struct complaints complaints = {0};
	int err;

	umbra_cost_table_init(&options->costs,
			      options->processor ? options->processor : umbra_processor_name(0));
	if (!options->costs_file)
		return 0;
	err = costs_file_read(options->costs_file, &options->costs, &complaints);
	for (size_t i = 0; i < complaints.nr; i++)
		options_refuse(options, 0, "%s", complaints.text[i]);
	complaints_free(&complaints);
	return !err ? 0 : err == -EINVAL ? EX_CONFIG : EX_NOINPUT;
}

static void print_help(const char *verb, bool image, const struct option_row *const *taken, int nr)
{
	printf("usage: umbra %s [OPTION]... %s\n\n", verb, image ? "IMAGE" : "[IMAGE]");
	for (int i = 0; i < nr; i++)
		printf("  --%-18s %s\n", taken[i]->name, taken[i]->flag ? "" : taken[i]->expects);
}

static int parse(struct options *ret_options, unsigned int verb, int argc, char **argv)
{
	struct option longs[NR_ROWS + 2] = {0};
	const struct option_row *taken[NR_ROWS];
	struct options *options = ret_options;
	int nr = 0, option;

	*options = (struct options){
		.verb = argv[0],
		.choices = {{UMBRA_MODE_EPT, POLICY_AUTO}},
		.nr_choices = 1,
		.cpus = 1,
		.levels = 4,
		.max_instructions = UINT64_MAX,
		.interval = DEFAULT_INTERVAL,
		.gva = DEFAULT_GVA,
		.access = UMBRA_EXPLAIN_WRITE,
	};
	for (size_t i = 0; i < NR_ROWS; i++) {
		if (!(rows[i].verbs & verb))
			continue;
		taken[nr] = &rows[i];
		longs[nr].name = rows[i].name;
		longs[nr].has_arg = rows[i].flag ? no_argument : required_argument;
		longs[nr].val = nr; /* index into taken */
		nr++;
	}

	longs[nr] = (struct option){"help", no_argument, NULL, HELP};

	optind = 0; /* start over: main() may have parsed its own */
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		int status;

		if (option == ':')
			return options_refuse(options, MALFORMED, "%s: needs a value",
					      argv[optind - 1]);
		if (option == '?')
			return options_refuse(options, MALFORMED, "%s: no such option",
					      argv[optind - 1]);
		if (option == HELP) {
			print_help(options->verb, verb != VERB_EXPLAIN, taken, nr);
			return HELPED;
		}
		status = parse_row(options, taken[option], optarg ? optarg : "");
		if (status)
			return status;
	}
	if (argc - optind > 1)
		return options_refuse(options, MALFORMED, "%s: one image at a time",
				      argv[optind + 1]);
	if (verb != VERB_RUN && !options->modes_given)
		choose_modes(options, verb);
	if (!options->memory) /* as much as that takes at least */
		options->memory = options->backing == UMBRA_PAGE_1g ? 1ull << 30 : DEFAULT_MEMORY;
	options->image = argv[optind];
	if (options->image ? !*options->image : verb != VERB_EXPLAIN)
		return options_refuse(options, MALFORMED, "an image is missing");
	if (options->engine == UMBRA_ENGINE_KVM) {
		int status = check_kvm(options, verb);

		if (status)
			return status;
	}
	return check(options);
}

bool options_parse(struct options *ret_options, unsigned int verb, int argc, char **argv,
		   int *ret_status)
{
	int status = parse(ret_options, verb, argc, argv);

	if (!status)
		status = read_costs(ret_options);
	*ret_status = status == HELPED ? 0 : status;
	return status == 0;
}
