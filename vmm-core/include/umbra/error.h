/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UMBRA_ERROR_H
#define UMBRA_ERROR_H

/*
 * The story of a failure. Fallible functions of the VMM core return 0 or a negative errno and
 * fill the caller's struct, which may be NULL when only the number matters.
 */
struct umbra_error {
	int code;          /* negative errno, as returned */
	char subject[128]; /* what it is about: an image, an option, a guest */
	char place[64];    /* where in it: an offset, a field, a line; may be empty */
	char text[256];    /* what is wrong and what was expected */
};

/* Fills @ret_error (may be NULL; @place may be NULL) and returns @code (a negative errno). */
int umbra_error_set(struct umbra_error *ret_error, int code, const char *subject, const char *place,
		    const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
