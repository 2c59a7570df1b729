// Package attack is tests alone: a whole server is started, as in
// posterntest, and attacked through its sockets. Secrets are planted and
// looked for, requests are bent out of shape, every route is tried by
// everybody who may not use it, and everything is asked for at once. What
// must hold is the same each time: nothing lands that was not admitted,
// nothing leaks, every refusal is recorded, and the service goes on.
package attack
