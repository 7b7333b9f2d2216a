// Package feed tells readers what changed, in order, so that what they keep in memory follows
// what somebody else writes.
//
// The entries of a feed are numbered from 1 on. A reader asks for what follows its [Cursor] and
// gets a [Page], which says with which cursor to go on; where there is nothing yet, it waits
// for an entry (a long poll). A reader that has no cursor starts with the oldest entry.
//
// A feed is bounded in number and in bytes, so the oldest entries go, and it can be made anew.
// Neither happens in silence. A page says how many entries are gone between the cursor and its
// first entry ([Page.Cut]). The cursor's epoch is another one after the feed was made anew: by
// a restart where it is kept in memory, by a new database where it is in one, or because it was
// cleared. The page then says [Page.StartOver], and its entries begin with the new feed's first.
//
// Readers do different things about a gap. A reader of events (records of
// traffic) reports it and goes on. A reader of a state (the registry of clients) loads the
// state anew, with the cursor up to which that holds, and goes on from there.
//
// A [Memory] keeps its entries in memory, package durable in the database of what a feed tells
// about. The management API serves feeds to other programs (manage.Feed), where they are
// [Remote], and a [Follower] keeps in step with one.
//
// The app on the phone records what it sees, in a feed, so nothing that only servers need is
// imported here.
package feed
