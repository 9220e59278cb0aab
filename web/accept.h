/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a client wants of an answer (RFC 9110, 12.5 and 13.1.2), and what it has already. */
#ifndef WEB_ACCEPT_H
#define WEB_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

/* A representation that can be had. */
struct media {
	const char *type;    /* "text/plain" */
	const char *version; /* a "version" that a range names must be this one; NULL: any */
	const char *content_type;
};

enum coding {
	CODING_IDENTITY,
	CODING_GZIP,      /* wanted, identity may be sent too */
	CODING_GZIP_ONLY, /* identity is refused */
	CODING_NONE,      /* all that there is is refused */
};

/*
 * The one of @offers that an Accept header prefers; the first one where the header is NULL or
 * leaves the choice, or wants none of them.
 */
size_t accept_media(const char *header, const struct media *offers, size_t nr_offers);

/* What an Accept-Encoding header asks for; NULL: there is none. */
enum coding accept_coding(const char *header);

/* Whether an If-None-Match header, which may be NULL, names @etag ("\"…\""). */
bool accept_has(const char *if_none_match, const char *etag);

/* Whether a Content-Type header says JSON. */
bool accept_json(const char *content_type);

#endif
