/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every form of every family does on Umbra's CPU what it does on the host's, a family a test; and
 * there are as many forms and executions as the project promises.
 *
 *   test_native [--seed N] [--executions N] [--form PART-OF-A-NAME] [--list]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <cmocka.h>

#include "native.h"

#define MIN_FORMS      1500u
#define MIN_EXECUTIONS 2000000u
#define EXECUTIONS     2100000u /* what is spread over the forms, unless asked otherwise */
#define PER_ENCODING   16u      /* cases that one encoding gets */
#define SHOWN          2u       /* differences of one form that are printed */
#define MAX_FAMILIES   32u

struct options {
	uint64_t seed;
	uint64_t executions;
	const char *form;
};

struct bench {
	struct options options;
	struct native_form *forms;
	size_t nr_forms;
	struct native_host *host;
	struct native_batch *batch;
	struct native_guest *guest;
	bool has_mode[NATIVE_NR_MODES];
	struct native_encoding encodings[NATIVE_BATCH];
	uint64_t forms_run, executions, executions_32, faults, skipped, not_offered;
};

static struct bench bench;

/* One encoding for each PER_ENCODING cases, in turn for 64-bit and 32-bit code. */
static void fill(const struct native_form *form, struct native_random *r, unsigned nr)
{
	static const enum native_mode order[] = {NATIVE_64, NATIVE_32};
	struct native_encoding encoding;
	unsigned turn = (unsigned)(random_next(r) & 1);

	bench.batch->nr = nr;
	for (unsigned i = 0; i < nr; i++) {
		if (i % PER_ENCODING == 0) {
			enum native_mode mode = order[turn++ & 1];

			if (!native_form_has_mode(form, mode) || !bench.has_mode[mode])
				mode = order[turn++ & 1];
			native_encode(form, mode, r, &encoding);
		}
		bench.encodings[i] = encoding;
		native_prepare(form, &encoding, r, &bench.batch->cases[i]);
	}
}

/* How many of the batch's cases differ. */
static unsigned compare(const struct native_form *form, unsigned *shown)
{
	unsigned differ = 0;

	for (unsigned i = 0; i < bench.batch->nr; i++) {
		static struct native_state after;
		struct native_case *c = &bench.batch->cases[i];
		const char *text = NULL;
		bool ran = native_guest_run(bench.guest, c, &after, &text);

		bench.executions++;
		bench.executions_32 += c->mode == NATIVE_32;
		bench.faults += c->after.vector != NATIVE_DONE;
		if (ran && native_same(form, &bench.encodings[i], c, &after))
			continue;
		differ++;
		if ((*shown)++ >= SHOWN)
			continue;
		if (!ran)
			fprintf(stderr, "# %s: Umbra's guest ended: %s (host: vector %02x)\n",
				form->name, text, c->after.vector);
		else
			native_describe(stderr, form, &bench.encodings[i], c, &after);
	}
	return differ;
}

static bool form_is_asked_for(const struct native_form *form)
{
	return !bench.options.form || strstr(form->name, bench.options.form);
}

static bool run_form(const struct native_form *form, uint64_t executions)
{
	/* Each form's numbers are its own, so that it does the same when it is run alone. */
	struct native_random r = {
		XXH3_64bits_withSeed(form->name, strlen(form->name), bench.options.seed)};
	uint64_t left = executions, differ = 0;
	unsigned shown = 0;
	uint32_t died;

	while (left) {
		unsigned nr = left < NATIVE_BATCH ? (unsigned)left : NATIVE_BATCH;

		fill(form, &r, nr);
		if (!native_host_run(bench.host, &died)) {
			static const struct native_state none;

			native_describe(stderr, form, &bench.encodings[died],
					&bench.batch->cases[died], &none);
			fail_msg("the child that executes natively was lost");
		}
		differ += compare(form, &shown);
		if (native_guest_rest(bench.guest) != bench.batch->rest) {
			fprintf(stderr, "# %s: other writes outside the windows\n", form->name);
			differ++;
		}
		left -= nr;
	}
	if (differ)
		fprintf(stderr, "# %s: %" PRIu64 " of %" PRIu64 " differ\n", form->name, differ,
			executions);
	return differ == 0;
}

static uint64_t executions_of_a_form(void)
{
	size_t nr = 0;

	for (size_t i = 0; i < bench.nr_forms; i++)
		nr += form_is_asked_for(&bench.forms[i]) &&
		      native_host_has(bench.forms[i].feature) &&
		      native_guest_has(bench.guest, bench.forms[i].feature);
	if (!nr)
		return 0;
	/* One form alone need not make up for all others. */
	if (bench.options.form)
		return EXECUTIONS / MIN_FORMS;
	return (bench.options.executions + nr - 1) / nr;
}

static void test_family_does_what_the_host_does(void **state)
{
	const struct native_family *family = *state;
	uint64_t executions = executions_of_a_form();
	unsigned wrong = 0;

	for (size_t i = 0; i < bench.nr_forms; i++) {
		const struct native_form *form = &bench.forms[i];
		bool possible = native_form_has_mode(form, NATIVE_64) || bench.has_mode[NATIVE_32];

		if (form->family != family || !form_is_asked_for(form))
			continue;
		if (!native_guest_has(bench.guest, form->feature)) {
			bench.not_offered++;
			continue;
		}
		if (!native_host_has(form->feature) || !possible) {
			fprintf(stderr, "# skipped: %s: the host %s%s\n", form->name,
				possible ? "lacks " : "does not execute 32-bit code",
				possible ? form->feature : "");
			bench.skipped++;
			continue;
		}
		wrong += !run_form(form, executions);
		bench.forms_run++;
	}
	if (wrong)
		fail_msg("%u forms of family %s do not do what the host does", wrong, family->name);
}

static void test_forms_and_executions_are_as_many_as_promised(void **state)
{
	fprintf(stderr,
		"# seed %" PRIu64 ": %" PRIu64 " forms, %" PRIu64 " executions (%" PRIu64
		" in 32-bit code, %" PRIu64 " faulted), %" PRIu64
		" forms not possible on this host, %" PRIu64 " not offered by Umbra\n",
		bench.options.seed, bench.forms_run, bench.executions, bench.executions_32,
		bench.faults, bench.skipped, bench.not_offered);
	if (bench.options.form || bench.options.executions < MIN_EXECUTIONS)
		skip();
	assert_true(bench.forms_run + bench.skipped >= MIN_FORMS);
	assert_true(bench.executions >= MIN_EXECUTIONS);
}

/* 40 is INC EAX in 32-bit code and a prefix in 64-bit code. */
static bool executes_32_bit_code(void)
{
	static const uint8_t inc[] = {0x40};
	struct native_case *c = &bench.batch->cases[0];
	uint32_t died;

	memset(c, 0, sizeof(*c));
	memcpy(c->bytes, inc, sizeof(inc));
	c->length = sizeof(inc);
	c->mode = NATIVE_32;
	c->at = NATIVE_CODE;
	c->before.rflags = RFLAGS_ONE | RFLAGS_IF;
	bench.batch->nr = 1;
	return native_host_run(bench.host, &died) && c->after.vector == NATIVE_DONE &&
	       c->after.gpr[X86_RAX] == 1;
}

static int setup(void **state)
{
	bench.forms = native_forms(&bench.nr_forms);
	bench.host = native_host_create(&bench.batch);
	if (!bench.forms || !bench.host) {
		fprintf(stderr, "# no child to execute natively: %s\n", strerror(errno));
		return -1;
	}
	bench.has_mode[NATIVE_64] = true;
	bench.has_mode[NATIVE_32] = executes_32_bit_code();
	if (!bench.has_mode[NATIVE_32]) {
		fprintf(stderr, "# skipped: 32-bit code: the kernel does not let it run\n");
		native_host_destroy(bench.host);
		bench.host = native_host_create(&bench.batch);
		if (!bench.host)
			return -1;
	}
	bench.guest = native_guest_create();
	return 0;
}

static int teardown(void **state)
{
	native_guest_destroy(bench.guest);
	native_host_destroy(bench.host);
	free(bench.forms);
	return 0;
}

static void list(void)
{
	size_t nr;
	struct native_form *forms = native_forms(&nr);

	for (size_t i = 0; i < nr; i++)
		printf("%s: %s\n", forms[i].family->name, forms[i].name);
	free(forms);
}

static int usage(void)
{
	fprintf(stderr, "usage: test_native [--seed N] [--executions N] [--form PART-OF-A-NAME] "
			"[--list]\n");
	return 64;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[MAX_FAMILIES + 1] = {0};
	struct options *options = &bench.options;
	size_t nr = 0;

	*options = (struct options){.seed = 1, .executions = EXECUTIONS};
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--list")) {
			list();
			return 0;
		}
		if (!value)
			return usage();
		if (!strcmp(argv[i], "--seed"))
			options->seed = strtoull(value, NULL, 0);
		else if (!strcmp(argv[i], "--executions"))
			options->executions = strtoull(value, NULL, 0);
		else if (!strcmp(argv[i], "--form"))
			options->form = value;
		else
			return usage();
		i++;
	}
	for (; native_families[nr].name && nr < MAX_FAMILIES; nr++)
		tests[nr] = (struct CMUnitTest){
			.name = native_families[nr].name,
			.test_func = test_family_does_what_the_host_does,
			.initial_state = (void *)(uintptr_t)&native_families[nr],
		};
	tests[nr++] = (struct CMUnitTest)cmocka_unit_test(
		test_forms_and_executions_are_as_many_as_promised);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return _cmocka_run_group_tests("native", tests, nr, setup, teardown);
}
