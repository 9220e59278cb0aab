# vmm-core/device: files of this room
