// Package digest is Content-Digest (RFC 9530, section 2): a hash of a message's content, in a field,
// so that a signature over fields covers the content, too.
//
//	POST /signed-calls/v1/transfers HTTP/1.1
//	Content-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
//
// The field is a dictionary of structured fields (RFC 9651, section 3.2): several algorithms can
// stand side by side. The hash is that of the content as it is sent, after content coding.
//
// # What is easily got wrong
//
//   - The field proves nothing by itself: whoever changes the content changes it, too. Somebody has to
//     sign it (package httpsig).
//   - A signature over the field says nothing about the content, before the hash of what came was
//     computed anew. [Verify] does.
//   - MD5, SHA-1 and checksums are registered as well, against accidents; RFC 9530, section 5, forbids
//     them where somebody might want to deceive. They count as not being there.
//   - Of several good algorithms each one has to match: else two readers could hold two contents
//     for the right one.
//   - The answer to HEAD has no content: its Content-Digest is that of nothing (RFC 9530,
//     appendix B.2).
package digest
