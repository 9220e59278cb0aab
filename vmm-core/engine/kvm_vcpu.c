/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The thread of a vCPU: KVM_RUN, and what KVM asks of user space. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "engine/kvm.h"

#define KERNEL_SIGSET_SIZE 8 /* bytes of the kernel's sigset_t */
/*
 * A vCPU that an INIT or SIPI woke says EAGAIN once. One that an NMI found before them says it all
 * the time: it need not be asked all the time.
 */
#define AGAIN_MAX  10
#define AGAIN_WAIT 10000000 /* ns */

/*
 * Nobody else sends it to a thread. A real-time signal would have to be queued, which fails where
 * others of the same user have filled the queue (RLIMIT_SIGPENDING).
 */
int kvm_signal(void)
{
	return SIGURG;
}

/* --- devices ---------------------------------------------------------------------------------- */

static void io(struct kvm_vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	struct machine *machine = vcpu->guest->machine;
	uint8_t *data = (uint8_t *)vcpu->run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count && !machine_end(machine); i++) {
		uint32_t value = 0;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, run->io.size);
			machine_out(machine, run->io.port, run->io.size, value,
				    kvm_time(vcpu->guest));
		} else {
			value = machine_in(machine, run->io.port, run->io.size,
					   kvm_time(vcpu->guest));
			memcpy(data, &value, run->io.size);
		}
		data += run->io.size;
	}
}

/* The machine takes 1, 2, 4 or 8 bytes that lie within 8 aligned ones; KVM may pass on others. */
static unsigned piece_of(uint64_t gpa, unsigned len)
{
	unsigned piece = 8;

	while (piece > len || gpa % 8 + piece > 8)
		piece /= 2;
	return piece;
}

static void mmio(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct machine *machine = vcpu->guest->machine;
	uint64_t now = kvm_time(vcpu->guest);
	unsigned done = 0, piece;

	/* What KVM's own chips do not answer, nobody does. */
	if (!vcpu->guest->kvm->own_chips) {
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		return;
	}
	for (; done < run->mmio.len; done += piece) {
		uint64_t gpa = run->mmio.phys_addr + done, value = 0;

		piece = piece_of(gpa, run->mmio.len - done);
		if (run->mmio.is_write) {
			memcpy(&value, run->mmio.data + done, piece);
			machine_mmio_write(machine, vcpu->index, gpa, piece, value, now);
		} else {
			value = machine_mmio_read(machine, vcpu->index, gpa, piece, now);
			memcpy(run->mmio.data + done, &value, piece);
		}
	}
}

/* --- ends ------------------------------------------------------------------------------------- */

static void internal_error(struct kvm_vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		kvm_end(vcpu->guest, vcpu->index, UMBRA_END_ERROR,
			"the host's KVM cannot emulate this instruction; the soft engine "
			"(--engine soft) may run it");
	else
		kvm_end(vcpu->guest, vcpu->index, UMBRA_END_ERROR,
			"an internal error of the host's KVM (suberror %u)",
			run->internal.suberror);
}

/* Whether the vCPU goes on. With the lock held. */
static bool handle_exit(struct kvm_vcpu *vcpu)
{
	struct umbra_guest *guest = vcpu->guest;
	const struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO: io(vcpu); break;
	case KVM_EXIT_MMIO: mmio(vcpu); break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR: break;
	case KVM_EXIT_HLT: vcpu->halted = true; break;
	case KVM_EXIT_SHUTDOWN:
		kvm_end(guest, vcpu->index, UMBRA_END_TRIPLE_FAULT, "triple fault");
		break;
	case KVM_EXIT_FAIL_ENTRY:
		kvm_end(guest, vcpu->index, UMBRA_END_ERROR,
			"the hardware refuses to enter the guest (reason 0x%llx)",
			(unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR: internal_error(vcpu); break;
	default:
		kvm_end(guest, vcpu->index, UMBRA_END_ERROR,
			"the host's KVM asks for what is not in this build (exit %u)",
			run->exit_reason);
		break;
	}
	kvm_after_device(guest, vcpu->index);
	return guest->kvm->end.reason == UMBRA_END_NONE;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* The signal that ended KVM_RUN stays pending, for the thread blocks it. */
static void take_signal(void)
{
	const struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, kvm_signal());
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
}

/* With the lock held, which is given up meanwhile. */
static void wait_a_little(struct kvm_guest *kvm)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += AGAIN_WAIT;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_clockwait(&kvm->go, &kvm->lock, CLOCK_MONOTONIC, &until);
}

/* Runs the vCPU until it is to stand still. With the lock held, which is given up meanwhile. */
static void run(struct kvm_vcpu *vcpu)
{
	struct kvm_guest *kvm = vcpu->guest->kvm;
	unsigned again = 0;
	bool goes_on = true;

	/*
	 * An access to a device is complete in the guest's registers at the next KVM_RUN only, so
	 * it is always KVM_RUN that ends this: the signal and immediate_exit make it return at
	 * once.
	 */
	while (goes_on) {
		int error;

		if (kvm->own_chips && !kvm_chips_enter(vcpu))
			return;
		pthread_mutex_unlock(&kvm->lock);
		error = ioctl(vcpu->fd, KVM_RUN, 0) ? errno : 0;
		if (error == EINTR)
			take_signal();
		pthread_mutex_lock(&kvm->lock);
		if (kvm->own_chips)
			kvm_chips_leave(vcpu);
		again = error == EAGAIN ? again + 1 : 0;
		if (again > AGAIN_MAX && kvm->wanted)
			wait_a_little(kvm);
		if (!error)
			goes_on = handle_exit(vcpu);
		else if (error == EINTR || error == EAGAIN)
			goes_on = kvm->wanted;
		else {
			kvm_end(vcpu->guest, vcpu->index, UMBRA_END_ERROR, "KVM_RUN: %s",
				strerror(error));
			goes_on = false;
		}
	}
}

static void *vcpu_thread(void *context)
{
	struct kvm_vcpu *vcpu = context;
	struct kvm_guest *kvm = vcpu->guest->kvm;
	char name[16];

	/* For people who look at the process. */
	snprintf(name, sizeof(name), "vcpu %u", vcpu->index);
	pthread_setname_np(pthread_self(), name);
	pthread_mutex_lock(&kvm->lock);
	vcpu->begun = true;
	pthread_cond_broadcast(&kvm->stopped);
	while (!kvm->over) {
		if (!kvm->wanted || kvm->end.reason != UMBRA_END_NONE) {
			pthread_cond_wait(&kvm->go, &kvm->lock);
			continue;
		}
		kvm->running++;
		vcpu->run->immediate_exit = 0;
		run(vcpu);
		kvm->running--;
		pthread_cond_broadcast(&kvm->stopped);
	}
	pthread_mutex_unlock(&kvm->lock);
	return NULL;
}

/* What is blocked in the thread, but for KVM_RUN the signal of ours. */
static int set_signal_mask(const struct kvm_vcpu *vcpu)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t bits; /* where head.sigset begins */
	} __attribute__((packed)) mask = {
		.head = {.len = KERNEL_SIGSET_SIZE},
		.bits = ~(1ull << (kvm_signal() - 1)),
	};

	_Static_assert(sizeof(mask) == sizeof(struct kvm_signal_mask) + KERNEL_SIGSET_SIZE,
		       "the set follows its length");
	return ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask) ? -errno : 0;
}

/* What a thread asks of the kernel to begin, the embedder may forbid once the guest is created. */
static void wait_for_thread(const struct kvm_vcpu *vcpu)
{
	struct kvm_guest *kvm = vcpu->guest->kvm;

	pthread_mutex_lock(&kvm->lock);
	while (!vcpu->begun)
		pthread_cond_wait(&kvm->stopped, &kvm->lock);
	pthread_mutex_unlock(&kvm->lock);
}

int kvm_vcpu_start_thread(struct kvm_vcpu *vcpu)
{
	/* An embedder's signals are for its own threads; crashes are this thread's own. */
	static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
	sigset_t block, before;
	int error = set_signal_mask(vcpu);

	if (error)
		return error;
	sigfillset(&block);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&block, own[i]);
	pthread_sigmask(SIG_SETMASK, &block, &before);
	error = -pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	vcpu->has_thread = !error;
	if (!error)
		wait_for_thread(vcpu);
	return error;
}
