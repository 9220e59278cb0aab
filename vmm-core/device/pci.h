/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI configuration mechanism 1 of a bus on which nobody answers. */
#ifndef DEVICE_PCI_H
#define DEVICE_PCI_H

#include <stdint.h>

struct pci {
	uint32_t address; /* CONFIG_ADDRESS */
};

void pci_init(struct pci *pci);
uint32_t pci_address_in(const struct pci *pci);
void pci_address_out(struct pci *pci, uint32_t value);
/* CONFIG_DATA: all ones (master abort), whatever the address. */
uint32_t pci_data_in(const struct pci *pci);

#endif
