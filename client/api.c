/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/api.h"
#include "client/client.h"

#define DEFAULT_SOCKET "/run/umbra/umbra.sock"

enum { ANSWER_MAX = 64 * 1024 * 1024, SECONDS_MAX = 20 };

struct buffer {
	char *bytes;
	size_t len;
};

int api_parse(int argc, char **argv, bool has_limit, int min, int max, const char *usage,
	      struct api_options *ret_options)
{
	static const struct option known[] = {
		{"json", no_argument, NULL, 'j'},
		{"socket", required_argument, NULL, 's'},
		{"limit", required_argument, NULL, 'l'},
		{NULL, 0, NULL, 0},
	};
	int option;
	bool good = true;

	*ret_options = (struct api_options){.socket = DEFAULT_SOCKET};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'j': ret_options->json = true; break;
		case 's': ret_options->socket = optarg; break;
		case 'l':
			ret_options->limit = optarg;
			good = good && has_limit && *optarg &&
			       strspn(optarg, "0123456789") == strlen(optarg);
			break;
		default: good = false; break;
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
			 const char *body, struct buffer *buffer, long *ret_status)
{
	struct curl_slist *headers = NULL;
	CURLcode code;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, options->socket);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)SECONDS_MAX);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, buffer);
	if (body) {
		headers = curl_slist_append(headers, "Content-Type: application/json");
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "PUT");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	curl_slist_free_all(headers);
	return code;
}

/* 0 and the answer, or the exit status, told. */
static int judge(const struct api_options *options, const struct buffer *buffer, long http_status,
		 json_t **ret_answer)
{
	json_t *answer = json_loadb(buffer->bytes ? buffer->bytes : "", buffer->len, 0, NULL);

	if (http_status < 200 || http_status > 299) {
		fprintf(stderr, "umbra: umbrad refuses (%ld): %s\n", http_status,
			api_text(answer, "detail"));
		json_decref(answer);
		return status_of(http_status);
	}
	if (!answer) {
		fprintf(stderr, "umbra: what answers at %s is not umbrad\n", options->socket);
		return CLIENT_FAULT;
	}
	if (options->json) {
		printf("%.*s\n", (int)buffer->len, buffer->bytes);
		json_decref(answer);
		answer = NULL;
	}
	*ret_answer = answer;
	return 0;
}

int api_ask(const struct api_options *options, const char *path, const char *id, const json_t *body,
	    json_t **ret_answer)
{
	CURL *curl = curl_easy_init();
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	char *encoded = curl ? curl_easy_escape(curl, id ? id : "", 0) : NULL;
	struct buffer buffer = {0};
	char url[1024];
	const char *place = strstr(path, "%s");
	int status = CLIENT_FAULT;
	long http_status = 0;
	CURLcode code;

	*ret_answer = NULL;
	if (!curl || !encoded || (body && !text)) {
		fputs("umbra: out of memory\n", stderr);
	} else {
		/* The host is this one; its name only fills the Host header. */
		snprintf(url, sizeof(url), "http://localhost%.*s%s%s",
			 place ? (int)(place - path) : (int)strlen(path), path,
			 place ? encoded : "", place ? place + 2 : "");
		code = transfer(curl, options, url, text, &buffer, &http_status);
		if (code)
			fprintf(stderr, "umbra: no answer from umbrad at %s: %s\n", options->socket,
				curl_easy_strerror(code));
		else
			status = judge(options, &buffer, http_status, ret_answer);
	}
	free(buffer.bytes);
	free(text);
	curl_free(encoded);
	curl_easy_cleanup(curl);
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
