/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of a guest whose interrupt controllers are those of device/: what the hardware's local
 * APIC does with a processor (SDM 3A 10.8, 8.4), by the means that KVM has for it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "engine/kvm.h"
#include "x86/control.h"

/* What the guest asked of a device before is done first: it may end in registers. */
static void complete(struct kvm_vcpu *vcpu)
{
	uint8_t before = vcpu->run->immediate_exit;

	vcpu->run->immediate_exit = 1;
	(void)ioctl(vcpu->fd, KVM_RUN, 0);
	vcpu->run->immediate_exit = before;
}

static void take_signals(struct kvm_vcpu *vcpu)
{
	struct umbra_guest *guest = vcpu->guest;
	uint8_t vector = 0;

	while (machine_signal_pending(guest->machine, vcpu->index)) {
		switch (machine_take_signal(guest->machine, vcpu->index, &vector)) {
		case MACHINE_INIT:
			complete(vcpu);
			vcpu->halted = false;
			vcpu->wait_for_sipi = vcpu->index > 0;
			if (kvm_set_init(vcpu))
				kvm_end(guest, vcpu->index, UMBRA_END_ERROR, "KVM refuses an INIT");
			break;
		case MACHINE_SIPI:
			if (vcpu->wait_for_sipi && kvm_set_sipi(vcpu, vector))
				kvm_end(guest, vcpu->index, UMBRA_END_ERROR, "KVM refuses a SIPI");
			vcpu->wait_for_sipi = false;
			break;
		case MACHINE_NMI:
			vcpu->halted = false;
			(void)ioctl(vcpu->fd, KVM_NMI, 0);
			break;
		case MACHINE_NONE: break;
		}
	}
}

static void take_interrupt(struct kvm_vcpu *vcpu)
{
	struct machine *machine = vcpu->guest->machine;
	struct kvm_run *run = vcpu->run;

	if (machine_interrupt_pending(machine, vcpu->index) && run->if_flag &&
	    (vcpu->halted || run->ready_for_interrupt_injection)) {
		struct kvm_interrupt interrupt = {
			.irq = machine_interrupt_acknowledge(machine, vcpu->index)};

		(void)ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt);
		vcpu->halted = false;
		run->ready_for_interrupt_injection = 0;
	}
	run->request_interrupt_window = machine_interrupt_pending(machine, vcpu->index);
}

/* Whether any vCPU can go on, or a timer can wake one. */
static bool is_dead(const struct umbra_guest *guest)
{
	const struct kvm_guest *kvm = guest->kvm;
	bool can_wake = false;

	for (unsigned i = 0; i < guest->nr_cpus; i++) {
		const struct kvm_vcpu *vcpu = &kvm->vcpu[i];

		if (!vcpu->halted && !vcpu->wait_for_sipi)
			return false;
		if (machine_signal_pending(guest->machine, i))
			return false;
		/* It has been told, and did not come to take it yet. */
		if (vcpu->halted && vcpu->run->if_flag &&
		    machine_interrupt_pending(guest->machine, i))
			return false;
		can_wake |= vcpu->halted && vcpu->run->if_flag;
	}
	return !can_wake || machine_next_event(guest->machine) == UINT64_MAX;
}

bool kvm_chips_enter(struct kvm_vcpu *vcpu)
{
	struct umbra_guest *guest = vcpu->guest;
	struct kvm_guest *kvm = guest->kvm;

	for (;;) {
		machine_advance(guest->machine, kvm_time(guest));
		take_signals(vcpu);
		if (!vcpu->wait_for_sipi)
			take_interrupt(vcpu);
		if (!vcpu->halted && !vcpu->wait_for_sipi)
			break;
		if (vcpu->halted && is_dead(guest))
			kvm_end(guest, vcpu->index, UMBRA_END_HALTED,
				"halted with nothing that could wake it");
		if (!kvm->wanted || kvm->over || kvm->end.reason != UMBRA_END_NONE)
			return false;
		if (machine_next_event(guest->machine) < kvm->sleeps_until)
			kvm_wake(kvm);
		pthread_cond_wait(&kvm->go, &kvm->lock);
	}
	vcpu->run->cr8 = machine_tpr(guest->machine, vcpu->index);
	return true;
}

void kvm_chips_leave(struct kvm_vcpu *vcpu)
{
	struct machine *machine = vcpu->guest->machine;
	uint64_t base = 0, now = kvm_time(vcpu->guest);

	machine_set_tpr(machine, vcpu->index, (uint8_t)vcpu->run->cr8);
	machine_msr_read(machine, vcpu->index, MSR_APIC_BASE, &base, now);
	if (base != vcpu->run->apic_base)
		machine_msr_write(machine, vcpu->index, MSR_APIC_BASE, vcpu->run->apic_base, now);
}

void kvm_chips_tell(struct umbra_guest *guest)
{
	struct kvm_guest *kvm = guest->kvm;
	pthread_t self = pthread_self();

	for (unsigned i = 0; i < guest->nr_cpus; i++) {
		struct kvm_vcpu *vcpu = &kvm->vcpu[i];

		if (!machine_signal_pending(guest->machine, i) &&
		    !machine_interrupt_pending(guest->machine, i))
			continue;
		if (vcpu->halted || vcpu->wait_for_sipi)
			pthread_cond_broadcast(&kvm->go);
		else if (!pthread_equal(vcpu->thread, self))
			pthread_kill(vcpu->thread, kvm_signal());
	}
}
