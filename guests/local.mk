# guests: files of this room
