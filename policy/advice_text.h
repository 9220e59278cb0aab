/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What advice says in words: why, what is missing, what can be done. */
#ifndef POLICY_ADVICE_TEXT_H
#define POLICY_ADVICE_TEXT_H

#include "policy/advice.h"

/* Less than this share of guest time is no reason to act, as for the policy. */
#define ADVICE_WORTH 0.02

/* Appends; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) void advice_append(char text[ADVICE_TEXT_MAX],
							 const char *format, ...);

/* The reason, once costs and the better mode are in @advice. */
void advice_say_idle(struct advice *advice, double seconds);
void advice_say_compared(struct advice *advice);
void advice_say_ruled_out(struct advice *advice);
void advice_say_unknown(struct advice *advice, const struct advice_input *input);

/* @miss: cycles that each TLB miss was taken for, in place of cycles of walks; 0: none was. */
void advice_list_missing(const struct advice_input *input, double miss, struct advice *advice);
/* What concerns one VM alone. */
void advice_recommend(const struct advice_input *input, struct advice *advice);

#endif
