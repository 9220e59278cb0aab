/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A decision of the policy in words, for whoever operates a guest. */
#ifndef CLIENT_WORDS_H
#define CLIENT_WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Prints all of one decision of @guest: what was measured, reckoned, decided, and what came of it.
 */
void words_explain(const char *guest, const json_t *decision);
/* Prints a paragraph in lines that fit a terminal. */
void words_paragraph(const char *text);
/* Why @decision was made, a sentence; @reason need not be one that this build knows. */
void words_reason(const json_t *decision, char *buffer, size_t size);
/* Of a switch: "it paid", "it did not pay"; NULL: "its outcome is open". */
const char *words_outcome(const json_t *paid);

/* Of a decision: the cycles of @mode, less than those of the mode that was on by so much. */
struct words_difference {
	bool known;
	double cycles, rival_cycles; /* of the mode that was on, of the other */
	double percent;              /* less than 0: the other one is cheaper */
	double uncertainty;          /* in percent too */
	bool sure;                   /* the difference is larger than the uncertainty */
};

struct words_difference words_compare(const json_t *decision, const char *mode);
/* The cheapest of the modes that were not on; NULL: none is known. */
const char *words_rival(const json_t *decision);

#endif
