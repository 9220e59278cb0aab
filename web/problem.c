/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>

#include "web/problem.h"
#include "web/text.h"

const struct web_status web_statuses[WEB_STATUS_COUNT + 1] = {
#define WEB_STATUS(status, title) {status, title},
	WEB_STATUSES
#undef WEB_STATUS
	{0, NULL},
};

const char *web_status_title(unsigned int status)
{
	for (const struct web_status *one = web_statuses; one->status; one++) {
		if (one->status == status)
			return one->title;
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
