/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <jansson.h>
#include <stddef.h>

#include "web/problem.h"

static const struct {
	unsigned int status;
	const char *title;
} titles[] = {
	{400, "Bad Request"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{409, "Conflict"},
	{413, "Content Too Large"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content"},
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
	json_t *problem = json_pack("{s:s,s:s,s:i,s:s*,s:s*}", "type", "about:blank", "title",
				    web_status_title(status), "status", (int)status, "detail",
				    detail, "instance", instance);
	char *text;

	/* The path may be no UTF-8; the problem is worth telling without it. */
	if (!problem)
		problem = json_pack("{s:s,s:s,s:i}", "type", "about:blank", "title",
				    web_status_title(status), "status", (int)status);
	text = json_dumps(problem, JSON_COMPACT);
	json_decref(problem);
	return text;
}
