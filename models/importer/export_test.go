package importer

// HubStatistics is for a fuzz target.
var HubStatistics = hubStatistics
