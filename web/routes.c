/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web/encode_host.h"
#include "web/encode_metrics.h"
#include "web/encode_translate.h"
#include "web/get_schemas.h"
#include "web/routes.h"
#include "web/text.h"

void refuse(struct reply *reply, unsigned int status, const char *format, ...)
{
	va_list arguments;

	reply->status = status;
	va_start(arguments, format);
	vsnprintf(reply->detail, sizeof(reply->detail), format, arguments);
	va_end(arguments);
}

static void answer_text(struct reply *reply, const char *content_type, char *body, size_t len)
{
	if (!body) {
		refuse(reply, 500, "out of memory");
		return;
	}
	reply->status = 200;
	reply->content_type = content_type;
	reply->body = body;
	reply->len = len;
}

/* Takes over @json, which may be NULL: out of memory. */
static void answer_json(struct reply *reply, const char *content_type, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;

	json_decref(json);
	answer_text(reply, content_type, text, text ? strlen(text) : 0);
}

/* The guest that the path names; NULL: there is none, and the reply says so. */
static const struct guest_view *find_guest(const struct request *request, struct reply *reply)
{
	const struct guest_view *guest = snapshot_find(request->snapshot, request->id);

	if (!guest)
		refuse(reply, 404, "there is no guest with this id");
	return guest;
}

static void get_host(const struct request *request, struct reply *reply)
{
	answer_json(reply, "application/json",
		    web_encode_host(request->snapshot, request->web->started));
}

/* Takes over what was written. */
static void answer_written(struct reply *reply, struct text *out)
{
	size_t len = 0;
	char *body = text_take(out, &len);

	answer_text(reply, "application/json", body, len);
}

static void get_guests(const struct request *request, struct reply *reply)
{
	struct text out = {0};

	json_write_open(&out, '{');
	json_write_key(&out, "guests");
	json_write_open(&out, '[');
	for (size_t i = 0; i < request->snapshot->nr_guests; i++)
		web_write_guest(&out, &request->snapshot->guests[i], false);
	json_write_close(&out, ']');
	json_write_close(&out, '}');
	answer_written(reply, &out);
}

/* What was written as a string; NULL: it could not be read, and the reply says so. */
static char *take_history(struct reply *reply, struct text *out, int code)
{
	size_t len;
	char *text = code ? NULL : text_take(out, &len);

	text_free(out);
	if (code)
		refuse(reply, 503, "the journal cannot be read at the moment");
	else if (!text)
		refuse(reply, 500, "out of memory");
	return text;
}

/* An observed guest has no history, whoever had its id before. */
static int read_decisions(const struct web_history *history, struct text *out,
			  const struct guest_view *guest, size_t limit, uint64_t before)
{
	if (!guest->observed)
		return history->decisions(history->context, out, guest->id, limit, before);
	json_write_raw(out, "[]");
	return 0;
}

static int read_switches(const struct web_history *history, struct text *out,
			 const struct guest_view *guest)
{
	if (!guest->observed)
		return history->switches(history->context, out, guest->id, HISTORY_IN_GUEST);
	json_write_raw(out, "[]");
	return 0;
}

static void get_guest(const struct request *request, struct reply *reply)
{
	const struct web_history *history = &request->web->history;
	const struct guest_view *guest = find_guest(request, reply);
	char *switches = NULL, *decisions = NULL;
	struct text out = {0};
	struct guest_view view;
	int code;

	if (!guest)
		return;
	view = *guest;
	code = read_switches(history, &out, guest);
	view.switches_json = switches = take_history(reply, &out, code);
	if (switches) {
		code = read_decisions(history, &out, guest, HISTORY_IN_GUEST, 0);
		view.decisions_json = decisions = take_history(reply, &out, code);
	}
	if (decisions) {
		web_write_guest(&out, &view, true);
		answer_written(reply, &out);
	}
	free(switches);
	free(decisions);
}

/* A whole number of the query. 0 or -EINVAL, and the reply says so; not given: @ret is as it was.
 */
static int parse_number(const struct request *request, const char *name, uint64_t *ret,
			struct reply *reply)
{
	const char *text = target_parameter(request->target, name);
	unsigned long long number;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (!*text || strspn(text, "0123456789") != strlen(text) || errno) {
		refuse(reply, 400, "%s: a whole number, 0 or more, was expected", name);
		return -EINVAL;
	}
	*ret = number;
	return 0;
}

static void get_decisions(const struct request *request, struct reply *reply)
{
	const struct web_history *history = &request->web->history;
	const struct guest_view *guest = find_guest(request, reply);
	uint64_t limit = HISTORY_DEFAULT, before = 0;
	struct text out = {0};
	char *decisions;
	int code;

	if (!guest || parse_number(request, "limit", &limit, reply) ||
	    parse_number(request, "before", &before, reply))
		return;
	if (limit > HISTORY_MAX)
		limit = HISTORY_MAX;
	code = read_decisions(history, &out, guest, limit, before);
	decisions = take_history(reply, &out, code);
	if (!decisions)
		return;
	json_write_open(&out, '{');
	json_write_key(&out, "decisions");
	json_write_raw(&out, decisions);
	json_write_close(&out, '}');
	answer_written(reply, &out);
	free(decisions);
}

/* A mode that is not known is absent. */
static json_t *encode_mode(const struct guest_view *guest)
{
	return json_pack("{s:s,s:s*,s:s}", "id", guest->id, "mode",
			 guest->mode < UMBRA_MODE_COUNT ? umbra_mode_name(guest->mode) : NULL,
			 "policy", policy_kind_name(guest->policy));
}

static void get_mode(const struct request *request, struct reply *reply)
{
	const struct guest_view *guest = find_guest(request, reply);

	if (guest)
		answer_json(reply, "application/json", encode_mode(guest));
}

static void parse_mode(const struct request *request, json_t *body, struct reply *reply)
{
	struct web_wish *wish = request->wish;
	const char *mode = json_string_value(json_object_get(body, "mode"));
	const char *policy = json_string_value(json_object_get(body, "policy"));

	if (json_object_size(body) != 1 || (!mode && !policy)) {
		refuse(reply, 422,
		       "exactly one of \"mode\" and \"policy\", a string, was expected");
		return;
	}
	wish->has_mode = mode != NULL;
	wish->policy = POLICY_PINNED;
	if (mode) {
		if (umbra_mode_parse(mode, &wish->mode))
			refuse(reply, 422, "mode: brute, shadow or ept was expected, not %.64s",
			       mode);
	} else if (policy_kind_parse(policy, &wish->policy)) {
		refuse(reply, 422, "policy: auto, advise or pinned was expected, not %.64s",
		       policy);
	}
}

/* The object that a PUT has as its body; NULL: it has none, and the reply says so. */
static json_t *load_body(const struct request *request, struct reply *reply)
{
	json_error_t error;
	json_t *body = json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, &error);

	if (json_is_object(body))
		return body;
	refuse(reply, 400, "the body is no JSON object: %.160s",
	       body ? "another value" : error.text);
	json_decref(body);
	return NULL;
}

static void put_mode(const struct request *request, struct reply *reply)
{
	const struct guest_view *guest = find_guest(request, reply);
	json_t *body = guest ? load_body(request, reply) : NULL;

	if (!body)
		return;
	parse_mode(request, body, reply);
	json_decref(body);
	if (!reply->status && guest->observed)
		refuse(reply, 409,
		       "it is a VM of another program, whose paging mode the host's KVM chooses: "
		       "umbrad observes it and never switches it; its policy is advise");
	if (reply->status)
		return;
	request->wish->kind = WISH_MODE;
	snprintf(request->wish->id, sizeof(request->wish->id), "%s", request->id);
	reply->wait = true;
}

static void put_host(const struct request *request, struct reply *reply)
{
	json_t *body = load_body(request, reply), *frozen;

	if (!body)
		return;
	frozen = json_object_get(body, "frozen");
	if (json_object_size(body) != 1 || !json_is_boolean(frozen))
		refuse(reply, 422, "exactly \"frozen\", true or false, was expected");
	request->wish->kind = WISH_FREEZE;
	request->wish->frozen = json_is_true(frozen);
	reply->wait = !reply->status;
	json_decref(body);
}

static void reply_mode(const struct request *request, struct reply *reply)
{
	const struct web_wish *wish = request->wish;
	const struct guest_view *guest = find_guest(request, reply);
	json_t *json;

	if (!guest)
		return;
	json = encode_mode(guest);
	if (wish->switched) {
		json_t *record = web_encode_switch(&wish->record);

		json_object_update(json, record);
		json_decref(record);
	}
	answer_json(reply, "application/json", json);
}

/* An address, 0x and hexadecimal digits or decimal ones; a vCPU likewise. 0 or -EINVAL. */
static int parse_address(const char *text, uint64_t *ret_address)
{
	bool hex = !strncmp(text, "0x", 2);
	const char *digits = hex ? "0123456789abcdefABCDEF" : "0123456789";

	text += hex ? 2 : 0;
	if (!*text || strspn(text, digits) != strlen(text))
		return -EINVAL;
	errno = 0;
	*ret_address = strtoull(text, NULL, hex ? 16 : 10);
	return errno ? -EINVAL : 0;
}

/* The mode that is asked for; UMBRA_MODE_COUNT: all. -EINVAL: there is none of that name. */
static int parse_only_mode(const struct request *request, enum umbra_mode *ret_mode)
{
	const char *mode = target_parameter(request->target, "mode");

	*ret_mode = UMBRA_MODE_COUNT;
	return mode ? umbra_mode_parse(mode, ret_mode) : 0;
}

/* 0 or -EINVAL. */
static int parse_access(const char *text, enum umbra_explain_access *ret_access)
{
	static const char letters[] = {[UMBRA_EXPLAIN_READ] = 'r',
				       [UMBRA_EXPLAIN_WRITE] = 'w',
				       [UMBRA_EXPLAIN_EXECUTE] = 'x'};

	*ret_access = UMBRA_EXPLAIN_READ;
	if (!text)
		return 0;
	for (size_t i = 0; i < sizeof(letters); i++) {
		if (text[0] == letters[i] && !text[1]) {
			*ret_access = i;
			return 0;
		}
	}
	return -EINVAL;
}

static void get_translate(const struct request *request, struct reply *reply)
{
	const char *gva = target_parameter(request->target, "gva");
	const char *cpu = target_parameter(request->target, "cpu");
	const char *access = target_parameter(request->target, "access");
	const struct guest_view *guest = find_guest(request, reply);
	struct web_wish *wish = request->wish;
	enum umbra_mode only;
	uint64_t number = 0;

	if (!guest)
		return;
	if (!gva || parse_address(gva, &wish->gva))
		refuse(reply, 400,
		       "gva: an address of at most 64 bits, 0x and hexadecimal digits, "
		       "was expected");
	else if (cpu && parse_address(cpu, &number))
		refuse(reply, 400, "cpu: the number of a vCPU, 0 or more, was expected");
	else if (parse_access(access, &wish->access))
		refuse(reply, 422, "access: r, w or x was expected, not %.64s", access);
	else if (parse_only_mode(request, &only))
		refuse(reply, 422, "mode: bare, brute, shadow or ept was expected, not %.64s",
		       target_parameter(request->target, "mode"));
	else if (guest->observed)
		refuse(reply, 409,
		       "it is a VM of another program: umbrad observes it and does not read its "
		       "memory");
	if (reply->status)
		return;
	wish->cpu = number < UINT_MAX ? (unsigned int)number : UINT_MAX;
	wish->kind = WISH_TRANSLATE;
	snprintf(wish->id, sizeof(wish->id), "%s", request->id);
	reply->wait = true;
}

static void reply_translate(const struct request *request, struct reply *reply)
{
	enum umbra_mode only = UMBRA_MODE_COUNT;

	parse_only_mode(request, &only); /* the query is the same as before */
	answer_json(reply, "application/json",
		    web_encode_translation(request->id, request->wish->translation, only));
}

void web_wish_reply(const struct request *request, struct reply *reply)
{
	static void (*const replies[WISH_KIND_COUNT])(const struct request *, struct reply *) = {
		[WISH_MODE] = reply_mode,
		[WISH_TRANSLATE] = reply_translate,
		[WISH_FREEZE] = get_host,
	};
	const struct web_wish *wish = request->wish;

	switch (wish->error) {
	case 0: replies[wish->kind](request, reply); return;
	case -ENOENT: refuse(reply, 404, "%s", wish->detail); return;
	case -EOPNOTSUPP:
	case -EPERM: refuse(reply, 409, "%s", wish->detail); return;
	case -EINVAL: refuse(reply, 422, "%s", wish->detail); return;
	case -EBUSY: refuse(reply, 429, "%s", wish->detail); return;
	case -ETIMEDOUT: refuse(reply, 504, "%s", wish->detail); return;
	case -ESHUTDOWN: refuse(reply, 503, "%s", wish->detail); return;
	default: refuse(reply, 500, "%s", wish->detail); return;
	}
}

static const struct media metrics_offers[] = {
	{"text/plain", "0.0.4", "text/plain; version=0.0.4; charset=utf-8"},
	{"application/openmetrics-text", "1.0.0",
	 "application/openmetrics-text; version=1.0.0; charset=utf-8"},
};

static void get_metrics(const struct request *request, struct reply *reply)
{
	struct process_view process;
	const struct metrics_view view = {
		.snapshot = request->snapshot,
		.statistics = request->statistics,
		.process = &process,
	};
	size_t len = 0;
	char *text;

	process_read(&process, request->web->started);
	text = web_encode_metrics(&view, request->offer == 1, &len);
	answer_text(reply, metrics_offers[request->offer].content_type, text, len);
}

static void write_collector(struct text *out, const struct collector_view *collector)
{
	json_write_open(out, '{');
	json_write_word(out, "name", collector->name);
	json_write_word(out, "state", collector->state);
	json_write_word(out, "help", collector->help);
	if (collector->own.has_runs) {
		json_write_count(out, "run_time_ns", collector->own.run_time_ns);
		json_write_count(out, "run_count", collector->own.run_count);
	}
	if (collector->own.has_lost) {
		json_write_count(out, "lost", collector->own.lost);
		json_write_count(out, "unattributed", collector->own.unattributed);
	}
	json_write_close(out, '}');
}

static void get_collectors(const struct request *request, struct reply *reply)
{
	const struct snapshot *snapshot = request->snapshot;
	struct text out = {0};

	json_write_open(&out, '{');
	json_write_key(&out, "collectors");
	json_write_open(&out, '[');
	for (size_t i = 0; i < snapshot->nr_collectors; i++)
		write_collector(&out, &snapshot->collectors[i]);
	json_write_close(&out, ']');
	json_write_close(&out, '}');
	answer_written(reply, &out);
}

static void get_health(const struct request *request, struct reply *reply)
{
	answer_text(reply, "text/plain; charset=utf-8", strdup("ok\n"), strlen("ok\n"));
}

static void get_ready(const struct request *request, struct reply *reply)
{
	if (request->snapshot->nr_unready)
		refuse(reply, 503, "%zu of %zu guests have not reported yet",
		       request->snapshot->nr_unready, request->snapshot->nr_guests);
	else
		answer_text(reply, "text/plain; charset=utf-8", strdup("ready\n"),
			    strlen("ready\n"));
}

static const struct parameter translate_parameters[] = {
	{"gva", "The guest-virtual address, 0x and hexadecimal digits; must be given"},
	{"cpu", "The vCPU whose registers count, a whole number; not given: 0"},
	{"access", "r, w or x: reads, writes or fetches an instruction; not given: r"},
	{"mode", "The one mode that is asked for; not given: all"},
	{NULL, NULL},
};

static const struct parameter decisions_parameters[] = {
	{"limit", "The latest so many rows, a whole number up to 1000; not given: 100"},
	{"before", "Only rows whose id is below this one; not given: all"},
	{NULL, NULL},
};

/* What DESIGN reserves for later (events, history, openapi.json, ...) has no row: 404. */
const struct route routes[] = {
	{.pattern = "/api/v1/host",
	 .get = get_host,
	 .put = put_host,
	 .keep = KEEP_ALL,
	 .answer = "host",
	 .wish = "host_request",
	 .put_answer = "host"},
	{.pattern = "/api/v1/collectors",
	 .get = get_collectors,
	 .keep = KEEP_ALL,
	 .answer = "collectors"},
	{.pattern = "/api/v1/guests", .get = get_guests, .keep = KEEP_ALL, .answer = "guests"},
	{.pattern = "/api/v1/guests/{id}", .get = get_guest, .keep = KEEP_ONE, .answer = "guest"},
	{.pattern = "/api/v1/guests/{id}/decisions",
	 .get = get_decisions,
	 .keep = KEEP_ONE,
	 .answer = "decisions",
	 .parameters = decisions_parameters},
	{.pattern = "/api/v1/guests/{id}/mode",
	 .get = get_mode,
	 .put = put_mode,
	 .keep = KEEP_ONE,
	 .answer = "mode",
	 .wish = "mode_request",
	 .put_answer = "mode"},
	{.pattern = "/api/v1/guests/{id}/translate",
	 .get = get_translate,
	 .keep = KEEP_NOT,
	 .answer = "translation",
	 .parameters = translate_parameters},
	{.pattern = "/metrics",
	 .get = get_metrics,
	 .keep = KEEP_ALL,
	 .offers = metrics_offers,
	 .nr_offers = sizeof(metrics_offers) / sizeof(metrics_offers[0])},
	{.pattern = "/healthz", .get = get_health, .keep = KEEP_FOREVER},
	{.pattern = "/readyz", .get = get_ready, .keep = KEEP_ALL},
	{.pattern = "/schemas/", .get = get_schemas, .keep = KEEP_FOREVER, .answer = "schemas"},
	{.pattern = "/schemas/{id}", .get = get_schema, .keep = KEEP_FOREVER},
	{.pattern = NULL},
};

/* Whether the segment at *@pattern, which it then passes, is @segment, or stands for any. */
static bool match_segment(const char **pattern, const char *segment, char *ret_id, size_t size)
{
	size_t len = strcspn(*pattern, "/"), segment_len = strlen(segment);
	const char *expected = *pattern;

	*pattern += len + (expected[len] == '/');
	if (len != strlen("{id}") || strncmp(expected, "{id}", len))
		return segment_len == len && !memcmp(segment, expected, len);
	if (!segment_len || segment_len >= size)
		return false;
	memcpy(ret_id, segment, segment_len + 1);
	return true;
}

static bool match(const char *pattern, const struct target *target, char *ret_id, size_t size)
{
	unsigned int nr_segments = 0;

	for (const char *p = pattern; *p; p++)
		nr_segments += *p == '/';
	if (nr_segments != target->nr_segments)
		return false;
	pattern++;
	for (unsigned int i = 0; i < nr_segments; i++) {
		if (!match_segment(&pattern, target->segments[i], ret_id, size))
			return false;
	}
	return true;
}

const struct route *route_find(const struct target *target, char *ret_id, size_t size)
{
	for (const struct route *route = routes; route->pattern; route++) {
		ret_id[0] = '\0';
		if (match(route->pattern, target, ret_id, size))
			return route;
	}
	return NULL;
}
