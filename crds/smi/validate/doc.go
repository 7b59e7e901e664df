// Package validate judges one object by itself: what in it can never work,
// whatever else exists, and what is likely a mistake. The admission webhook,
// `heddle analyze` and the operator's conditions say what is found here, so
// that all three say the same.
//
//	object ──▶ Result{Errors, Warnings} ──▶ refusal and warnings   (operator/webhook)
//	                                    ├─▶ condition Accepted     (operator/build)
//	                                    └─▶ a line for people      (heddle analyze)
//
// What takes other objects to judge is not: a backend that doesn't exist yet
// may come a moment later. Everything here is pure, takes objects that no
// schema has seen, and never panics.
package validate
