/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Advice for an observed guest as JSON: names and shapes are those of schemas/types.c. */
#include "policy/advice.h"
#include "web/view.h"

static void write_number(struct text *out, const char *key, bool known, double value)
{
	if (!known)
		return;
	json_write_key(out, key);
	json_write_double(out, value);
}

static void write_cost(struct text *out, const struct advice_cost *cost)
{
	json_write_open(out, '{');
	write_number(out, "cycles_per_second", cost->known, cost->cycles_per_second);
	write_number(out, "uncertainty", cost->known, cost->uncertainty);
	write_number(out, "share", cost->share_known, cost->share);
	write_number(out, "exits_per_second", cost->exits_known, cost->exits_per_second);
	write_number(out, "walks_per_second", cost->walks_known, cost->walks_per_second);
	write_number(out, "least_per_second", cost->least_known, cost->least_per_second);
	json_write_close(out, '}');
}

static bool tells(const struct advice_cost *cost)
{
	return cost->known || cost->share_known || cost->exits_known || cost->walks_known ||
	       cost->least_known;
}

static void write_costs(struct text *out, const struct advice *advice)
{
	json_write_key(out, "cost");
	json_write_open(out, '{');
	for (int mode = 0; mode < UMBRA_MODE_COUNT; mode++) {
		if (!tells(&advice->cost[mode]))
			continue;
		json_write_key(out, umbra_mode_name(mode));
		write_cost(out, &advice->cost[mode]);
	}
	json_write_close(out, '}');
}

static void write_missing(struct text *out, const struct advice *advice)
{
	json_write_key(out, "missing");
	json_write_open(out, '[');
	for (size_t i = 0; i < advice->nr_missing; i++) {
		json_write_open(out, '{');
		json_write_word(out, "what", advice->missing[i].what);
		json_write_word(out, "why", advice->missing[i].why);
		json_write_close(out, '}');
	}
	json_write_close(out, ']');
}

static void write_recommendations(struct text *out, const struct advice *advice)
{
	json_write_key(out, "recommendations");
	json_write_open(out, '[');
	for (size_t i = 0; i < advice->nr_recommendations; i++) {
		json_write_open(out, '{');
		json_write_word(out, "action", advice->recommendations[i].action);
		json_write_word(out, "reason", advice->recommendations[i].reason);
		json_write_word(out, "how", advice->recommendations[i].how);
		json_write_close(out, '}');
	}
	json_write_close(out, ']');
}

void web_write_advice(struct text *out, const struct advice *advice)
{
	json_write_open(out, '{');
	if (advice->mode_known)
		json_write_word(out, "mode", umbra_mode_name(advice->mode));
	write_number(out, "guest_cycles_per_second", advice->guest_known,
		     advice->guest_cycles_per_second);
	write_number(out, "frequency", advice->frequency > 0, advice->frequency);
	write_costs(out, advice);
	if (advice->better_known)
		json_write_word(out, "better", umbra_mode_name(advice->better));
	json_write_word(out, "confidence", advice->confidence);
	write_number(out, "confidence_share", advice->better_known, advice->confidence_share);
	json_write_word(out, "reason", advice->reason);
	write_missing(out, advice);
	write_recommendations(out, advice);
	json_write_close(out, '}');
}
