"""Standard margin of option venues: positions one by one, with an offset inside an expiry where the venue gives one."""
