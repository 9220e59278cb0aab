/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "target.h"
#include "umbra/guest.h"

#define TICK_NS    50000000 /* a run that is still going on after two of them is kicked */
#define TICKS_HUNG 400

static struct umbra_guest *volatile running;
static volatile unsigned ticks;

static void tick(int signal)
{
	if (!running || ++ticks < 2)
		return;
	umbra_guest_kick(running);
	if (ticks > TICKS_HUNG)
		abort();
}

/* A timer of its own: SIGALRM is libFuzzer's. */
static void start_ticks(void)
{
	const struct itimerspec every = {{0, TICK_NS}, {0, TICK_NS}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
	timer_t timer;

	sigaction(SIGRTMIN, &action, NULL);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &every, NULL))
		abort();
}

void target_run(struct umbra_guest *guest, uint64_t instructions)
{
	static bool started;

	if (!started)
		start_ticks();
	started = true;
	ticks = 0;
	running = guest;
	umbra_guest_run(guest, instructions);
	running = NULL;
}
