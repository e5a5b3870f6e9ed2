// Package pull downloads published weights into a cache, checks them, and tells their licence.
//
// A [Reference] names what to download: a repository of a hub that speaks the paths of huggingface.co
// (hf:OWNER/REPO[@REVISION][:FILE]), an address (https://…) or a file of this machine (file:…). Any of them may end in
// #sha256=HEX, which pins the file with the weights. [Catalogue] lists networks by name.
//
// [Puller.Pull] returns the path of the weights. The files beside them that an import reads (config.json,
// preprocessor_config.json, README.md, the shards of an index) lie where the repository has them.
//
// The server is not trusted. Sizes are checked against the listing and a limit before the first byte and while bytes arrive;
// a file appears under its name only after its checksum is right: that of the pin, the SHA-256 or the blob's SHA-1 that the
// hub lists, and the one that its download states. What is in the cache is checked again on every pull. A connection that
// ends or stalls is resumed, as often as [Config].Retries says without progress. The token goes to the endpoint alone,
// whatever redirects say, and never over plain HTTP to another machine.
//
// Two processes may pull the same thing: one waits for the other. Nothing here runs what it downloads.
package pull
