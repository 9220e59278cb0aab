/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may be asked about an observed guest, and what may not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/json_schema.h"
#include "web/routes.h"
#include "web/snapshot.h"
#include "web/wish.h"

/* A journal in which somebody of the same name has left something. */
static int read_decisions(void *context, struct text *out, const char *guest, size_t limit,
			  uint64_t before)
{
	json_write_raw(out, "[{\"id\":1}]");
	return 0;
}

static int read_switches(void *context, struct text *out, const char *guest, size_t limit)
{
	json_write_raw(out, "[{\"number\":1}]");
	return 0;
}

/* What @path answers to a PUT of @body, or a GET where it is NULL; the caller frees its body. */
static struct reply ask(const char *path, const char *body)
{
	static struct web_wish wish;
	static struct target target;
	const struct web_config web = {.history = {read_decisions, read_switches, NULL}};
	struct vm_view vm = {.process = "qemu", .unit = "", .fd = -1};
	struct snapshot *snapshot = snapshot_create(1);
	struct request request = {
		.web = &web,
		.snapshot = snapshot,
		.target = &target,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.wish = &wish,
	};
	struct reply reply = {0};
	const struct route *route;
	const char *why;

	assert_non_null(snapshot);
	snapshot->guests[0] = (struct guest_view){
		.id = "vm",
		.guest = "vm",
		.state = "running",
		.engine = "kvm",
		.mode = UMBRA_MODE_COUNT,
		.policy = POLICY_ADVISE,
		.clock = UMBRA_CLOCK_COUNT,
		.observed = true,
		.vm = &vm,
	};
	assert_int_equal(target_parse(path, &target, &why), 0);
	route = route_find(&target, request.id, sizeof(request.id));
	assert_non_null(route);
	if (body)
		route->put(&request, &reply);
	else
		route->get(&request, &reply);
	snapshot_unref(snapshot);
	return reply;
}

static void assert_refused(const char *path, const char *body, unsigned int status,
			   const char *detail)
{
	struct reply reply = ask(path, body);

	assert_int_equal(reply.status, status);
	assert_false(reply.wait);
	if (!strstr(reply.detail, detail))
		fail_msg("%s: %s", path, reply.detail);
	free(reply.body);
}

static void observed_guest_is_never_switched(void **state)
{
	static const char path[] = "/api/v1/guests/vm/mode";

	assert_refused(path, "{\"mode\":\"shadow\"}", 409, "never switches it");
	assert_refused(path, "{\"policy\":\"auto\"}", 409, "its policy is advise");
	/* What is wrong in itself is told first. */
	assert_refused(path, "{\"mode\":\"fast\"}", 422, "fast");
	assert_refused(path, "{", 400, "JSON");
	assert_refused("/api/v1/guests/nobody/mode", "{\"mode\":\"shadow\"}", 404, "no guest");
}

static void memory_of_an_observed_guest_is_not_read(void **state)
{
	assert_refused("/api/v1/guests/vm/translate?gva=0x1000", NULL, 409, "another program");
	assert_refused("/api/v1/guests/vm/translate?gva=x", NULL, 400, "gva");
}

static void observed_guest_has_no_history_of_others(void **state)
{
	struct reply reply = ask("/api/v1/guests/vm", NULL);
	json_t *guest = json_loads(reply.body, 0, NULL);

	json_schema_assert("guest", guest);
	assert_int_equal(json_array_size(json_object_get(guest, "decisions")), 0);
	assert_int_equal(json_array_size(json_object_get(guest, "switches")), 0);
	json_decref(guest);
	free(reply.body);
	reply = ask("/api/v1/guests/vm/decisions", NULL);
	assert_string_equal(reply.body, "{\"decisions\":[]}");
	free(reply.body);
}

static void mode_that_is_not_known_is_absent(void **state)
{
	struct reply reply = ask("/api/v1/guests/vm/mode", NULL);
	json_t *mode = json_loads(reply.body, 0, NULL);

	json_schema_assert("mode", mode);
	assert_null(json_object_get(mode, "mode"));
	assert_string_equal(json_string_value(json_object_get(mode, "policy")), "advise");
	json_decref(mode);
	free(reply.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(observed_guest_is_never_switched),
		cmocka_unit_test(memory_of_an_observed_guest_is_not_read),
		cmocka_unit_test(observed_guest_has_no_history_of_others),
		cmocka_unit_test(mode_that_is_not_known_is_absent),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
