// Package workshop is what a class works with: the ladder of stages with their narratives,
// the attacks and the matrix.
//
//	GET  /stages                          the ladder
//	GET  /stages/{stage}                  learn: what changed, the narrative
//	GET  /stages/{stage}/try              run the app, attack it, see the traffic
//	GET  /stages/{stage}/code             the code that the narrative points at
//	GET  /compare/{stage}/{stage}         two stages side by side
//	GET  /attacks/{attack}                one attack across all stages
//	GET  /identifiers                     stages and attacks with OWASP's identifiers, and these with them
//	GET  /exposure                        how many calls each theft buys at each stage, and for how long
//	POST /stages/{stage}/run              the genuine app runs there, on the phone
//	POST /stages/{stage}/phone            the phone uses this stage from now on
//	GET  /phone                           on to the phone's screen, with a code that pairs the browser
//	GET  /stolen-codes                    switches against stolen authorization codes, and what each is worth; POST switches
//	POST /stolen-codes/measure            counts it
//	GET  /take-apart                      ?message=ID&n=N, ?document=1, ?stage=: a token, taken apart
//	POST /take-apart                      what was pasted; change it, send it as a call
//	GET  /matrix                          expected and measured
//	POST /matrix/run                      all attacks at the chosen stages
//	GET  /matrix/{stage}/{attack}         a cell: outcome, steps, evidence
//	POST /matrix/{stage}/{attack}/run
//	GET  /jobs/{id}                       ?after=N: how far a job is, as a piece of a page, and the cells
//	                                      of the matrix that it has filled but the first N
//
// All of it is derived from the catalog: a stage or an attack that is added there has its
// pages without an edit here.
package workshop

//go:generate go tool templ generate
