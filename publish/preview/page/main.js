// The page: one module per concern. A new control is a module here and its elements in page.html.

import "./knobs.js";
import "./lessons.js";
import "./notices.js";
import "./scores.js";
import "./chart.js";
import "./events.js";
import "./audit.js";
import "./picture.js";
import "./live.js";
import { follow } from "./cameras.js";

follow();
