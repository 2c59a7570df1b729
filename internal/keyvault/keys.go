package keyvault

// keyRoutes are the rows of Keys in the specification.
var keyRoutes = []Route{}
