// Package bridge reaches a core on another machine through one process's
// standard input and output, such as the user's own ssh: many streams over
// one pair of pipes.
//
// The near end (Session) opens streams; the far end (Serve) connects each to
// the core on its machine. The end of either process ends everything. What a
// stream is, core/mux says.
//
// It knows the API only as much as it must: previews, which Previews offers
// to this machine's browsers, and calls, which Session.Transport carries. What
// they mean is for the core to decide.
package bridge
