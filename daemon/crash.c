/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "daemon/crash.h"

enum { STACK_BYTES = 64 << 10, NR_SIGNALS = 5 };

/* SIGSYS is none of them: what the sandbox forbids kills at once, and no handler sees it. */
static const int signals[NR_SIGNALS] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
static struct sigaction before[NR_SIGNALS];
static struct worker_state *noted;

static uint64_t host_rip(const ucontext_t *context)
{
#ifdef __x86_64__
	return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#else
	return 0;
#endif
}

/* Nothing but stores and system calls: the process may be broken in any way. */
static void on_crash(int number, siginfo_t *info, void *context)
{
	SHARED_SET(noted->host_rip, host_rip(context));
	SHARED_SET(noted->host_address, info->si_code > 0 ? (uintptr_t)info->si_addr : 0);
	SHARED_SET(noted->signal, (uint32_t)number);
	for (int i = 0; i < NR_SIGNALS; i++) {
		if (signals[i] == number)
			sigaction(number, &before[i], NULL);
	}
	/* What the CPU raised comes again, with all it can tell; what was sent does not. */
	if (info->si_code <= 0)
		raise(number);
}

void crash_prepare_thread(void)
{
	static _Thread_local char stack[STACK_BYTES];
	const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};

	sigaltstack(&other, NULL);
}

void crash_note_in(struct worker_state *state)
{
	struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	noted = state;
	crash_prepare_thread();
	for (int i = 0; i < NR_SIGNALS; i++)
		sigaction(signals[i], &action, &before[i]);
}
