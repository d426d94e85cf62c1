"""Every threshold that decides what something is called: a zero mode, a jump, a kink, a phase; each is named once, here.

Whole numbers that only limit an effort (iterations, products, vectors in memory) stand beside what they limit. Fractions of
E and of the squared norm refer to their ranges over the walked branch.
"""

from __future__ import annotations

# -- what it costs, in gradients over the full sample --------------------------------------------------------------------

ERROR_COST = 0.4  # an evaluation of E: a pass forwards, of the three that a gradient takes
GRADIENT_COST = 1.0  # the unit: a pass forwards and one backwards
HESSIAN_PRODUCT_COST = 2.5  # measured: a gradient of a gradient

# -- zero modes, margins, the saddle index -------------------------------------------------------------------------------

ZERO_MODE = 1e-8  # of the largest magnitude: eigenvalues up to it are zero modes; continuous symmetries make exact ones
ZERO_MODE_LEAST = 1e-12  # the same where the gradient is known, so that nothing but rounding has to be allowed for, and
ZERO_MODE_BENT = 1e3  # times the gradient over the length of theta, where that is more
ZERO_MODE_ROUNDINGS = 10  # roundings of the largest eigenvalue within which there is no other answer: rules in float32
CLEAR_OF_ZERO = 10.0  # times the size of a zero mode: an eigenvalue found by inversion is none beyond it
UNSYMMETRIC = 10  # roundings of the largest Ritz value by which one may be off, at least
ALIKE = 1e-6  # relative difference up to which two eigenvalues are copies of one
MARGIN_SETTLED = 1e-2  # relative error of a margin's eigenpair at which the margin is known
MARGIN_PLACED = 1e-4  # of the spectrum's width: the same pair lies close enough to its end
INDEX_SETTLED = 1e-2  # relative residual of all negative Ritz values and of the next, with which no more are looked for
DAVIDSON_SETTLED = 1e-3  # relative residual of the margin's pair, from a neighbour's vectors, at which it is known
DAVIDSON_BESIDE = 0.3  # the same of the pair above it: a lower one that hides would show there
CLUSTERED = 0.02  # relative difference up to which a pair above the margin's is of its cluster, and hides what lies behind
TANGENT_SETTLED = 3e-3  # relative residual of a tangent, in the metric of a preconditioner; slopes are wrong by its square
APART = 1e-6  # length of the part of a unit vector outside a space, below which its known image is no longer its own
INDEPENDENT = 1e-10  # length of the part of a unit vector outside a space, below which it is rounding
NARROW_SPECTRUM = 1e-6  # relative distance between the outermost eigenvalues, below which they count as one
ALONG_NEGATIVE = 1e-8  # of 2 beta: a curvature along a branch that is more negative is that of a saddle

# -- minor and macroscopic -----------------------------------------------------------------------------------------------

MACROSCOPIC = 0.01  # of the range of E (a jump), or of the squared norm (a kink): what separates phases
MAY_BE_MACROSCOPIC = 0.8 * MACROSCOPIC  # a gap in E over a coarse step that may turn out so
SMALL_GAP = 0.2 * MACROSCOPIC  # a gap in E that no macroscopic jump leaves
NEGLIGIBLE = 1e-4  # of both ranges: gaps below it are not pursued
QUIET = 5.0 * NEGLIGIBLE  # of the range of E: a change that is too small to spend steps on
ROUNDING = 1e-9  # of both ranges: gaps below it are rounding
LEAST_RANGE = 1e-9  # of 1 + E in magnitude: the least range of E; what differs by less does not differ
TENTH_OF_ERROR = 0.1  # of E in magnitude: the least range of E of a walk that begins in a trivial minimum

# -- what is smooth, a jump, a kink (Criteria) ---------------------------------------------------------------------------

# "Relative" is the part of a change that the slopes at both ends do not explain: 0 on a smooth branch, near 1 across a jump.
SMOOTH = 0.25  # relative gap that a continuous branch may leave, where it is small as well
EASY = 0.1  # relative gap of a step that could have been longer
JUMPED = 0.5  # relative gap from which a narrow change is a jump, as more of it is unexplained than explained
TURNED = 0.8  # relative gap up to which a quiet change is no jump
ROUGH_EASY = 0.3  # part of the smallest gap that may be macroscopic: the same as `EASY` where slopes are rough
FALL = 0.2  # a fall lowers L by about this part of the jump of E; used where slopes are rough
HIDING_STEP = 0.35  # part of `MAY_BE_MACROSCOPIC` that a planned step may hide
LONGEST_HIDING = 1.0  # longest step, on the axis, that is looked ahead for what it would hide
SPARING_STEP = 0.8  # the same where a Hessian is dear
HIDING_REACH = 0.5  # the same of a step towards a fold
KINK = 0.04  # relative change of slope that is a kink, where the power law of the slope is known
KINK_BEHIND_DOUBT = 0.1  # the same, judged from the point before one whose slope is doubtful
KINK_ALONE = 0.3  # the same where one point alone tells the slope
DOUBTFUL_SLOPE = 0.1  # relative error of a slope beyond which it tells no kinks
KINK_SLACK = 0.1 * NEGLIGIBLE  # of the range of the squared norm: how well it is known beside a kink, where minima are soft
KINK_BEYOND = 0.5  # of their distance: how far outside two points their tangents may meet for a kink
KINK_STEEPEST = 1.5  # ranges of the squared norm that a slope beside a macroscopic kink may cross down to the lowest beta
MARGIN_VANISHES = 1.2  # widths of a bracket within which a margin must extrapolate to zero
FOLLOWED = 1.5  # times the smooth change of E that a step may make, beyond `MACROSCOPIC`, before it has left its branch
STRAYED = 4.0  # times the step that the tangent foretells that a search may end from there before it has left its branch,
STRAYED_LEAST = 0.02  # and this part of the norm, where a Hessian at its end is dear

# -- the order of a transition -------------------------------------------------------------------------------------------

CONTINUOUS = 1e-3  # of the range of the squared norm: what changes by less across a bracket is continuous
SQUARE_ROOT = (0.42, 0.6)  # exponents of the margin accepted as a fold's 1/2
LINEAR = (0.8, 1.25)  # exponents of the margin accepted as a branch point's 1
EXPONENTS = (0.4, 1.2)  # between which the exponent is taken to lie where a step is planned by it
STEEPEST_POWER = 4.0  # of the law that a slope follows, beyond which it is not led on
VANISHES_WITHIN = 20.0  # brackets ahead within which the margin must vanish
WITNESSES_WITHIN = 0.1  # of beta: witnesses of a power law that lie further behind see another branch
WITNESS, FAR_WITNESS, NEAR_WITNESS = 10.0, 30.0, 3.0  # brackets behind: the ratio of two witnesses, and where the first one is
TELLS_A_LAW = 1.1  # ratio of margins from which two of them tell a law
NEARER_WITNESS = 0.3  # of the distance of the nearest witness that a walk came by: where another one is made
BLUR = 1e-2  # of beta: most that the tolerance of a search can blur a transition
BLURS = 0.01  # of a bracket's width: tolerances below it do not blur it
BRACKET_DENSE = 1e-5  # relative width to which macroscopic transitions are bracketed with dense Hessians,
BRACKET_LARGE = 1e-4  # where these are dear,
BRACKET_ROUGH = 1e-3  # and without them
SHARED = 1e-6  # relative residual of minima that share Hessians, times the part of the shift that a small margin is of,
LOOSE_SHARED = 100.0  # and how much more loosely they are minimised on the way
BRACKET_MINOR = 1e-2  # the same of minor ones: soft modes make many; and the smallest step on a smooth branch
BRACKETS = (1e-9, 1e-2)  # relative widths of brackets that can be asked for: the narrowest that rounding lets a walk reach
FORETOLD_WITHIN = 0.6  # of a bracket: a fold that three points foretell further ahead is not stepped to
LARGEST_SPARING = 0.12  # largest step where every search is dear: a jump in it is bracketed at once
UNBLURRED = 0.6  # of a bracket: where searches are dear they close in to this part of it, and their tolerance adds the rest
CLOSER = 0.5  # the same where points share Hessians: beside a fold its own mode is the softest
CAREFUL = 0.03  # times the tolerance, at the end of a branch where searches are dear: beyond it there may be no minimum
BEFORE_SUMMIT, BEYOND_SUMMIT = 2.5e-4, 3e-4  # of beta: the ends of a bracket around a fold that was climbed at fixed norm
PASSED = 0.5  # of what beta rises on the way to a fold: how far it must have fallen, as far behind it, for the branch to turn
ONE_EVENT = 2.0  # brackets within which two transitions of a walk that touch are one
LEAPT = 0.05  # of the change of E between two norms: what it may miss of the integral of beta before it has jumped
GUIDED_UP_TO = 0.97  # of the beta at which a phase ends for fewer samples: how far these lead
CONVERGED_BRACKET = 1.01  # times the width asked for: a bracket that is no wider has converged

# -- errors of what is shown ---------------------------------------------------------------------------------------------

SHORTEST = 1e-3  # least distance from the centre that lengths are relative to
COSINE = 0.5  # between the tangent of a branch and `theta - centre`: .4 to 1 on branches of minima
HIGHER_ORDERS = 2.0  # times a first-order error: what higher orders may add
ROUNDED_DOUBLE, ROUNDED_SINGLE = 1e-14, 1e-6  # roundings of a sum over samples, relative
DEPTH_KNOWN = 1e-7  # of beta: points of equal depth are sought to about a tenth of this

# -- rank, classes, the trivial phase ------------------------------------------------------------------------------------

RANK = 0.1  # of a matrix's largest singular value: those above it count for the effective rank,
RANK_LEAST = 1e-3  # and above this
ALIVE = 0.5  # recall from which a class is alive at a point; in a phase, on most of it
TRIVIAL = 1e-6  # of the variance of the deepest phase's outputs: those of a trivial phase vary by less
RANGE = 300.0  # default range of beta: HIGH is the first trivial one by doubling, LOW = HIGH / RANGE

# -- points of a branch ---------------------------------------------------------------------------------------------------

REACHABLE = 1e-8  # residual over `Regularised.scale` up to which a point where rounding ends the search is a solution
SINGULAR = 1e-10  # of the scale of Hess L: a soft mode of less curvature is null, and the point a fold or a branch point
SINGULAR_MET = 1e-3  # of that: where the iteration onto it need not go on
TOGETHER = 3.0  # modes within this factor of the softest vanish with it
SYMMETRIC = 1e-6  # of the scale of Hess L: a third derivative along the null mode that is less makes a pitchfork
TURNS = 1e-7  # of rho: a rate of rho along a branch that is less is none, so that rho turns with beta

# -- the identity of minima and phases -----------------------------------------------------------------------------------

SAME_SPECTRUM = 0.05  # of the largest singular value: minima of one phase differ by less
SAME_NORM = 2.0 * MACROSCOPIC  # of the range of the squared norm: the same
SAME_ANSWERS = 0.25  # of the samples: those whose class only one of two maps takes for one with others are less in one phase
SAME_ROUNDING = 1e-8  # relative difference that invariants of equal minima may always have
SAME_SLACK = 10.0  # times `residual / margin`: how far a minimum may lie from the exact one
SAME_DISTANCE = 1e-3  # of the norm: a minimum that may lie further is not known well enough to excuse more

MANY_UNCONVERGED = 0.2  # part of the points of a map, or of a phase, that did not converge, above which the rest has no ground

# -- equal depth, stability, existence -----------------------------------------------------------------------------------

EQUAL_DEPTH = 1e-13  # of L in magnitude and of beta times the latent heat: where both phases are solved to rounding
NEARLY_EQUAL = 1e-6  # of 1 + L in magnitude: losses as close where a search ends are told as an approximate crossing
EQUAL_DEPTH_WALKED = 1e-8  # of the range of E: where they are walked minima
EQUAL_DEPTH_ROUNDING = 20.0  # rounding errors of 1 + L in magnitude: where L of a large network is compared
EQUAL_DEPTH_STEP = 0.05  # in log beta: a step down along a phase that was not walked there
PASS_RESIDUAL = 3e-4  # of the pull of the penalty: the gradient at a saddle that is searched for in a large network
PASS_ASIDE = 0.02  # of how far two phases lie apart: where descents from the saddle between them begin
EQUALLY_DEEP = 1e-4  # of the range of E: losses that differ by less are equally deep
NORM_RISES = 1e-3  # of the range of the squared norm: a rise along the lower envelope by less is none
STIFF = 0.01  # of 2 beta: the least margin of a phase that stays a minimum as beta goes to 0
FLAT = 1e-3  # of 2 beta: a negative margin of a descended point that is less is rounding
FURTHER = 1e-3  # of the lowest beta of a map: how far down its phases are followed
ADJACENT = 1e-3  # in log beta: how far beyond its ends a phase is compared with what fell from another one
END_EXPLAINED = 1e-4  # relative: how far a polished point may lie outside of the bracket of the transition that it explains
END_KNOWN = 0.01  # relative: how far an end that a walk found may lie from the polished one
SAME_BETA = 1e-9  # relative difference of two values of beta that are one
NEAR_BETA = 1e-6  # the same of a value that was computed in another way, as a coexistence point and the edge it makes
SAME_PLACE = 0.01  # relative: transitions of one branch lie no further apart, as brackets of coarse walks are as wide
SAME_EVENT = 0.3  # in log beta: how far from a transition a repeat of the walk may meet it again
STILL = 0.1  # residual, relative to 2 beta times the distance from the centre, below which a model counts as trained to the end
WORTH = 0.01  # fall of the training accuracy from which it is called a loss

# -- training and plateaus ---------------------------------------------------------------------------------------------

DIVERGED = 1e6  # times E at the start, plus one: a training run whose error is larger has diverged
PLATEAU_FLAT = 0.1  # change of log E over a factor e of the epochs, below which a curve is flat
PLATEAU_LONG = 2.0  # factor in epochs from which a flat stretch is a plateau
LEVEL_FLAT = 0.01  # the same change along a gradient flow, below which E there is the level of a plateau
PLATEAU_LEFT = 0.1  # of the range of E: a plateau whose E has fallen by so much, or by half of what it will, is left
DEEPER = 1e-4  # of the range of E: a minimum whose L is lower by more is deeper than the end of a gradient flow
DRIFTED = 0.02  # of the squared norm at the end: what a gradient flow must lose of it to be a drift
ARRIVED_AT_LEVEL = 1.05  # times the E of a phase: where a training run has arrived in it
PREPARED = 0.05  # relative difference of E by which a prepared start is in its phase

# -- where a walk looks next: these decide what it costs, and nothing of what it finds ------------------------------------

COARSE = 0.15  # a jump met with a log step below this is bracketed at once,
COARSE_SPARING = 0.04  # and where a Hessian is dear: falls through soft modes are many, and halved steps tell them apart
QUIET_STRIDE = 2.0  # times the largest step: the longest one upwards, where E hardly changes
STEEPENS = 4.0  # times what the slope says: the change of E over such a step, as of an E that grows like beta^2
SMALLEST = 1.0001  # times a smallest step, or a lowest beta: what is no larger is one
BRIEF = 0.5  # of the cost of a Hessian: what a search on the way takes with one from nearby, before plain steps
PATIENT = 1.0  # the same with one of its own
ARRIVED = 1e-12  # of the beta that a walk goes to: the distance at which it is there
LAST = 1e-3  # of a minor step: a step that would leave less than this before the end goes there
EXTRAPOLATED = 1.5  # times the room within a bracket: an end that is extrapolated to lie no further is looked for
WITHIN = 0.6  # of a bracket's width: an end that lies nearer is stepped over
ALMOST = 0.95  # of the room: a step that is as long goes to the end

# -- scale invariance ------------------------------------------------------------------------------------------------------

CANCELS = 2e-3  # of the slope of E along the scale of a tensor: what others leave of it where their common scale is not felt
SHARE_OF_SCALE = 0.1  # least exponent with which a tensor belongs to such a block

# -- as beta goes to 0 -----------------------------------------------------------------------------------------------------

DECADE = 10.0  # times the lowest beta: where the growth of the norm is compared with that at the lowest beta
GROWING = 0.02  # least growth of log of the squared norm per log of beta that is one
SLOWING = 0.2  # power of beta with which that growth falls where there is a finite minimiser, at least: 1, or 1/3 in a flat one
