/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra guests: umbrad's guests, one a line. */
#include "config.h"

#include <stdio.h>

#include "client/api.h"
#include "client/client.h"

static void print_guest(const json_t *guest)
{
	double instructions = api_number(guest, "instructions");
	double cycles = api_number(guest, "cycles");
	const json_t *switching = json_object_get(guest, "switching");
	const json_t *end = json_object_get(guest, "end");

	printf("%-16s %-9s %-7s %-7s", api_text(guest, "id"), api_text(guest, "state"),
	       api_text(guest, "mode"), api_text(guest, "policy"));
	/* What was not measured is left out. */
	if (json_object_get(guest, "instructions"))
		printf(" %14.0f %14.0f %8.2f %8.0f", instructions, cycles,
		       instructions ? cycles / instructions : 0, api_number(switching, "count"));
	else
		printf(" %14s %14s %8s %8s", "-", "-", "-", "-");
	if (end)
		printf("  %s: %s", api_text(end, "reason"), api_text(end, "text"));
	putchar('\n');
}

int client_guests(int argc, char **argv)
{
	struct api_options options;
	json_t *answer, *guest;
	size_t i;
	int status = api_parse(argc, argv, false, 0, 0, "[--json]", &options);

	if (!status)
		status = api_ask(&options, "/api/v1/guests", NULL, NULL, &answer);
	if (status || !answer)
		return status;
	printf("%-16s %-9s %-7s %-7s %14s %14s %8s %8s\n", "GUEST", "STATE", "MODE", "POLICY",
	       "INSTRUCTIONS", "CYCLES", "CYC/INS", "SWITCHES");
	json_array_foreach(json_object_get(answer, "guests"), i, guest) print_guest(guest);
	json_decref(answer);
	return 0;
}
