/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "umbra/error.h"

int umbra_error_set(struct umbra_error *ret_error, int code, const char *subject, const char *place,
		    const char *format, ...)
{
	va_list arguments;

	if (!ret_error)
		return code;
	ret_error->code = code;
	snprintf(ret_error->subject, sizeof(ret_error->subject), "%s", subject ? subject : "");
	snprintf(ret_error->place, sizeof(ret_error->place), "%s", place ? place : "");
	va_start(arguments, format);
	vsnprintf(ret_error->text, sizeof(ret_error->text), format, arguments);
	va_end(arguments);
	return code;
}
