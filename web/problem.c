/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>

#include "web/problem.h"
#include "web/text.h"

static const struct {
	unsigned int status;
	const char *title;
} titles[] = {
	{400, "Bad Request"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{409, "Conflict"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content"},
	{429, "Too Many Requests"},
	{500, "Internal Server Error"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
};

const char *web_status_title(unsigned int status)
{
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
		if (titles[i].status == status)
			return titles[i].title;
	}
	return "Error";
}

/* "about:blank" says that the status code tells the kind of problem, and the title is its phrase.
 */
char *web_problem(unsigned int status, const char *instance, const char *detail)
{
	struct text out = {0};
	size_t len;

	json_write_open(&out, '{');
	json_write_key(&out, "type");
	json_write_text(&out, "about:blank");
	json_write_key(&out, "title");
	json_write_text(&out, web_status_title(status));
	json_write_key(&out, "status");
	json_write_unsigned(&out, status);
	if (detail) {
		json_write_key(&out, "detail");
		json_write_text(&out, detail);
	}
	if (instance && *instance) {
		json_write_key(&out, "instance");
		json_write_text(&out, instance);
	}
	json_write_close(&out, '}');
	return text_take(&out, &len);
}
