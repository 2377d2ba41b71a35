package version

// LinkOctets is what a difference takes beside its records.
const LinkOctets = linkOctets
