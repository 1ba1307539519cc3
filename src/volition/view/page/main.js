// A loop that runs, or runs that were recorded: the page is the same.

import { live } from "./live.js";
import { play } from "./play.js";

if (document.querySelector("meta[name=mode]").content === "play") play();
else live();
