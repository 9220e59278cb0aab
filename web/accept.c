/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "web/accept.h"

#define BLANKS " \t"

/* A piece of a header: from @start, @len bytes. */
struct piece {
	const char *start;
	size_t len;
};

static struct piece trim(const char *start, size_t len)
{
	while (len && strchr(BLANKS, start[0])) {
		start++;
		len--;
	}
	while (len && strchr(BLANKS, start[len - 1]))
		len--;
	return (struct piece){start, len};
}

static bool is(struct piece piece, const char *word)
{
	return strlen(word) == piece.len && !strncasecmp(piece.start, word, piece.len);
}

/* The next piece of *@rest that ends before a @mark outside of quotes. False: there is none. */
static bool next_piece(struct piece *rest, char mark, struct piece *ret_piece)
{
	bool quoted = false;
	size_t i;

	if (!rest->start)
		return false;
	for (i = 0; i < rest->len; i++) {
		char c = rest->start[i];

		if (quoted && c == '\\' && i + 1 < rest->len)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == mark && !quoted)
			break;
	}
	*ret_piece = trim(rest->start, i);
	if (i < rest->len)
		*rest = (struct piece){rest->start + i + 1, rest->len - i - 1};
	else
		rest->start = NULL;
	return true;
}

static struct piece whole(const char *header)
{
	return (struct piece){header, header ? strlen(header) : 0};
}

/* A weight in thousandths; -1: it is none. */
static int parse_weight(struct piece text)
{
	int weight, unit = 100;

	if (!text.len || text.len > 5 || (text.start[0] != '0' && text.start[0] != '1'))
		return -1;
	weight = (text.start[0] - '0') * 1000;
	if (text.len > 1 && text.start[1] != '.')
		return -1;
	for (size_t i = 2; i < text.len; i++, unit /= 10) {
		if (text.start[i] < '0' || text.start[i] > '9')
			return -1;
		weight += (text.start[i] - '0') * unit;
	}
	return weight <= 1000 ? weight : -1;
}

/* An element of Accept or Accept-Encoding: what is wanted, its version if it names one, how much.
 */
struct wanted {
	struct piece name, version;
	int weight;
};

/* The next element that is well-formed; the others are passed over. */
static bool next_wanted(struct piece *rest, struct wanted *ret)
{
	struct piece element, parameter;

	while (next_piece(rest, ',', &element)) {
		*ret = (struct wanted){.weight = 1000};
		if (!next_piece(&element, ';', &ret->name) || !ret->name.len)
			continue;
		while (next_piece(&element, ';', &parameter)) {
			const char *equals = memchr(parameter.start, '=', parameter.len);
			size_t len = equals ? (size_t)(equals - parameter.start) : parameter.len;
			struct piece name = trim(parameter.start, len);
			struct piece value = {NULL, 0};

			if (equals)
				value = trim(equals + 1, parameter.len - len - 1);
			if (is(name, "q"))
				ret->weight = parse_weight(value);
			else if (is(name, "version"))
				ret->version = value;
		}
		if (ret->weight >= 0)
			return true;
	}
	return false;
}

/* How closely a media range fits: 0 not at all, 1 all of all, 2 all of its type, 3 itself, 4 with
 * its version. */
static int fits(const struct wanted *wanted, const struct media *media)
{
	size_t type = strcspn(media->type, "/") + 1;
	const struct piece *name = &wanted->name;

	if (wanted->version.start && (!media->version || !is(wanted->version, media->version)))
		return 0;
	if (is(*name, media->type))
		return wanted->version.start ? 4 : 3;
	if (name->len == type + 1 && name->start[type] == '*' &&
	    !strncasecmp(name->start, media->type, type))
		return 2;
	return is(*name, "*/*");
}

size_t accept_media(const char *header, const struct media *offers, size_t nr_offers)
{
	size_t best = 0;
	int best_weight = 0;

	for (size_t i = 0; i < nr_offers; i++) {
		struct piece rest = whole(header);
		struct wanted wanted;
		int closest = 0, weight = 0;

		while (next_wanted(&rest, &wanted)) {
			int fit = fits(&wanted, &offers[i]);

			if (fit && fit >= closest) {
				closest = fit;
				weight = wanted.weight;
			}
		}
		if (weight > best_weight) {
			best = i;
			best_weight = weight;
		}
	}
	return best;
}

enum coding accept_coding(const char *header)
{
	struct piece rest = whole(header);
	int gzip = -1, identity = -1, others = -1;
	struct wanted wanted;

	while (next_wanted(&rest, &wanted)) {
		if (is(wanted.name, "gzip") || is(wanted.name, "x-gzip"))
			gzip = wanted.weight;
		else if (is(wanted.name, "identity"))
			identity = wanted.weight;
		else if (is(wanted.name, "*"))
			others = wanted.weight;
	}
	if (gzip < 0)
		gzip = others;
	/* What is not listed is refused, but for identity, which only "*;q=0" refuses. */
	if (gzip < 0)
		gzip = 0;
	if (identity < 0 && others == 0)
		identity = 0;
	if (!identity)
		return gzip ? CODING_GZIP_ONLY : CODING_NONE;
	return gzip && gzip >= identity ? CODING_GZIP : CODING_IDENTITY;
}

bool accept_has(const char *if_none_match, const char *etag)
{
	struct piece rest = whole(if_none_match), tag;

	while (next_piece(&rest, ',', &tag)) {
		/* A weak comparison: W/ makes no difference. */
		if (tag.len > 2 && !strncmp(tag.start, "W/", 2))
			tag = (struct piece){tag.start + 2, tag.len - 2};
		if (is(tag, "*"))
			return true;
		if (tag.len == strlen(etag) && !memcmp(tag.start, etag, tag.len))
			return true;
	}
	return false;
}

bool accept_json(const char *content_type)
{
	struct piece rest = whole(content_type), type;

	return next_piece(&rest, ';', &type) && is(type, "application/json");
}
