/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Advice of umbrad's for guests that are VMs of other programs. */
#ifndef CLIENT_ADVISE_VM_H
#define CLIENT_ADVISE_VM_H

#include <jansson.h>

/* Prints a line for each of @guests, and below it what can be done. 0 or the exit status, told. */
int advise_vm_table(const json_t *guests);
/* Prints all that is known of one. */
int advise_vm_print(const json_t *guest);
/* Appends them to the "guests" of the schema `advice`. */
void advise_vm_add(json_t *list, const json_t *guests);

#endif
