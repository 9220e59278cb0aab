/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --engine kvm: what the host's KVM is, and whether it can do what was asked for. */
#ifndef CLIENT_KVM_H
#define CLIENT_KVM_H

#include "client/options.h"
#include "collectors/kvm_host.h"

/*
 * Opens /dev/kvm into *ret_fd, the caller's; *ret_host says what mode its guests have and why. 0,
 * or the exit status after the error was said: there is no KVM, it may not be used, or @choice is
 * another mode than it has. Warns where KVM emulates a guest's kernel.
 */
int kvm_open(const struct options *options, const struct mode_choice *choice, int *ret_fd,
	     struct kvm_host *ret_host);

#endif
