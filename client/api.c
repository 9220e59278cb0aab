/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/api.h"
#include "client/client.h"
#include "client/plain.h"

enum { ANSWER_MAX = 64 * 1024 * 1024, SECONDS_MAX = 20 };

struct buffer {
	char *bytes;
	size_t len;
};

static const struct {
	const char *name;
	bool takes_value, is_number;
} rows[API_OPTION_COUNT] = {
	[API_JSON] = {"json", false, false},
	[API_LIMIT] = {"limit", true, true},
	[API_EXPLAIN] = {"explain", true, true},
	[API_CPU] = {"cpu", true, true},
	[API_ACCESS] = {"access", true, false},
	[API_MODE] = {"mode", true, false},
	[API_OPENMETRICS] = {"openmetrics", false, false},
};

/* Why the value of an option of this row is none. NULL: it is one. */
static const char *refuse_value(int row, const char *value)
{
	if (rows[row].is_number && (!*value || strspn(value, "0123456789") != strlen(value)))
		return "a whole number, 0 or more, was expected";
	return NULL;
}

int api_parse(int argc, char **argv, unsigned int has, int min, int max, const char *usage,
	      struct api_options *ret_options)
{
	struct option known[API_OPTION_COUNT + 2] = {
		{"socket", required_argument, NULL, API_OPTION_COUNT}};
	int option, nr_known = 1;
	bool good = true;

	for (int row = 0; row < API_OPTION_COUNT; row++) {
		if (has >> row & 1)
			known[nr_known++] = (struct option){
				rows[row].name,
				rows[row].takes_value ? required_argument : no_argument, NULL, row};
	}
	*ret_options = (struct api_options){.socket = API_DEFAULT_SOCKET};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		const char *wrong = NULL;

		if (option == '?') {
			good = false;
		} else if (option == API_OPTION_COUNT) {
			ret_options->socket = optarg;
		} else {
			ret_options->value[option] = optarg ? optarg : "";
			wrong = refuse_value(option, ret_options->value[option]);
		}
		if (wrong) {
			fprintf(stderr, "umbra %s: --%s: %s, not %s\n", argv[0], rows[option].name,
				wrong, optarg);
			return CLIENT_USAGE;
		}
	}
	ret_options->words = argv + optind;
	ret_options->nr_words = argc - optind;
	if (good && ret_options->nr_words >= min && ret_options->nr_words <= max)
		return 0;
	fprintf(stderr, "usage: umbra %s [--socket PATH] %s\n", argv[0], usage);
	return CLIENT_USAGE;
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *context)
{
	struct buffer *buffer = context;
	size_t len = size * count;
	char *grown;

	if (len > ANSWER_MAX - buffer->len)
		return 0;
	grown = realloc(buffer->bytes, buffer->len + len + 1);
	if (!grown)
		return 0;
	buffer->bytes = grown;
	memcpy(grown + buffer->len, bytes, len);
	buffer->len += len;
	grown[buffer->len] = '\0';
	return len;
}

/* What umbrad's refusals mean for whoever called. */
static int status_of(long http_status)
{
	switch (http_status) {
	case 400:
	case 422: return CLIENT_USAGE;
	case 404: return CLIENT_NO_FILE;
	case 409: return CLIENT_UNAVAILABLE;
	default: return CLIENT_FAULT;
	}
}

static CURLcode transfer(CURL *curl, const struct api_options *options, const char *url,
			 const char *header, const char *body, struct buffer *buffer,
			 long *ret_status)
{
	struct curl_slist *headers = NULL;
	CURLcode code;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, options->socket);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)SECONDS_MAX);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, buffer);
	if (header) {
		headers = curl_slist_append(headers, header);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	}
	if (body) {
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "PUT");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	curl_slist_free_all(headers);
	return code;
}

/* What came as a value that may be shown; NULL: it is no JSON. */
static json_t *load(struct buffer *buffer)
{
	if (!buffer->bytes)
		return NULL;
	buffer->len = plain_json(buffer->bytes, buffer->len);
	return json_loadb(buffer->bytes, buffer->len, 0, NULL);
}

/* 0, or the exit status of a refusal, told. */
static int judge(struct buffer *buffer, long http_status)
{
	json_t *problem;

	if (http_status >= 200 && http_status <= 299)
		return 0;
	problem = load(buffer);
	fprintf(stderr, "umbra: umbrad refuses (%ld): %s\n", http_status,
		api_text(problem, "detail"));
	json_decref(problem);
	return status_of(http_status);
}

/* 0 and what came, or the exit status, told. The caller frees the bytes. */
static int fetch(const struct api_options *options, const char *path, const char *id,
		 const char *header, const char *body, struct buffer *ret_buffer)
{
	CURL *curl = curl_easy_init();
	char *encoded = curl ? curl_easy_escape(curl, id ? id : "", 0) : NULL;
	char url[1024];
	const char *place = strstr(path, "%s");
	int status = CLIENT_FAULT;
	long http_status = 0;
	CURLcode code;

	*ret_buffer = (struct buffer){0};
	if (!encoded) {
		fputs("umbra: out of memory\n", stderr);
	} else {
		/* The host is this one; its name only fills the Host header. */
		snprintf(url, sizeof(url), "http://localhost%.*s%s%s",
			 place ? (int)(place - path) : (int)strlen(path), path,
			 place ? encoded : "", place ? place + 2 : "");
		code = transfer(curl, options, url, header, body, ret_buffer, &http_status);
		if (code)
			fprintf(stderr, "umbra: no answer from umbrad at %s: %s\n", options->socket,
				curl_easy_strerror(code));
		else
			status = judge(ret_buffer, http_status);
	}
	if (status) {
		free(ret_buffer->bytes);
		*ret_buffer = (struct buffer){0};
	}
	curl_free(encoded);
	curl_easy_cleanup(curl);
	return status;
}

static int ask(const struct api_options *options, const char *path, const char *id,
	       const json_t *body, bool print, json_t **ret_answer)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct buffer buffer;
	int status;

	*ret_answer = NULL;
	if (body && !text) {
		fputs("umbra: out of memory\n", stderr);
		return CLIENT_FAULT;
	}
	status = fetch(options, path, id, body ? "Content-Type: application/json" : NULL, text,
		       &buffer);
	free(text);
	if (status)
		return status;
	*ret_answer = print ? json_loadb(buffer.bytes ? buffer.bytes : "", buffer.len, 0, NULL)
			    : load(&buffer);
	if (!*ret_answer) {
		fprintf(stderr, "umbra: what answers at %s is not umbrad\n", options->socket);
		status = CLIENT_FAULT;
	} else if (print) {
		printf("%.*s\n", (int)buffer.len, buffer.bytes);
		json_decref(*ret_answer);
		*ret_answer = NULL;
	}
	free(buffer.bytes);
	return status;
}

int api_ask(const struct api_options *options, const char *path, const char *id, const json_t *body,
	    json_t **ret_answer)
{
	return ask(options, path, id, body, false, ret_answer);
}

int api_ask_or_print(const struct api_options *options, const char *path, const char *id,
		     const json_t *body, json_t **ret_answer)
{
	return ask(options, path, id, body, options->value[API_JSON] != NULL, ret_answer);
}

int api_print(const struct api_options *options, const char *path, const char *accept)
{
	struct buffer buffer;
	char header[128];
	int status;

	snprintf(header, sizeof(header), "Accept: %s", accept);
	status = fetch(options, path, NULL, header, NULL, &buffer);
	if (!status)
		fwrite(buffer.bytes, 1, buffer.len, stdout);
	free(buffer.bytes);
	return status;
}

const char *api_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

double api_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}
